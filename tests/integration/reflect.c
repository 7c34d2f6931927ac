/* reflect.c - sends every frame back to the port that it came from, in place, until the server stops */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <ixy/client.h>

/* All or nothing: a test that compares files byte for byte must not drop. */
static int send_all(struct ixy_qp *qp, const struct ixy_desc *descs, unsigned int n)
{
	unsigned int sent = 0;

	while (sent < n) {
		int k = ixy_tx_batch(qp, descs + sent, n - sent);

		if (k < 0)
			return k;
		sent += (unsigned int)k;
		if (sent < n && ixy_wait(qp, IXY_WAKE_TX, -1) < 0)
			return -ENOTCONN;
	}
	return 0;
}

int main(int argc, char **argv)
{
	char error[512] = "";
	struct ixy_attach_opts opts = {
		.size = sizeof(opts), .error = error, .error_bytes = sizeof(error)};
	struct ixy_client *client;
	struct ixy_desc descs[64];
	struct ixy_qp *qp;
	int n = 0;

	if (argc > 2 && strcmp(argv[2], "readonly") == 0)
		opts.mode = IXY_MODE_READONLY;
	if (argc < 2 || ixy_attach(argv[1], &opts, &client) < 0) {
		fprintf(stderr, "usage: reflect SERVER [readonly]; %s\n", error);
		return 1;
	}
	qp = ixy_queue_pair(client, 0);
	while (n >= 0 && ixy_wait(qp, IXY_WAKE_RX, -1) >= 0) {
		n = ixy_rx_batch(qp, descs, 64);
		if (n > 0)
			n = send_all(qp, descs, (unsigned int)n);
	}
	ixy_detach(client);
	return 0;
}
