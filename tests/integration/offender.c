/* offender.c - breaks one rule on purpose, says what it was told, and stays until it is killed */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <ixy/client.h>

/* Makes a violation out of one received frame; returns false for an unknown name. */
static bool offend(struct ixy_qp *qp, const char *how, struct ixy_desc *desc)
{
	if (strcmp(how, "double-free") == 0) {
		/* at once: between two calls the server could give it the same buffer again */
		const struct ixy_desc twice[] = {*desc, *desc};

		ixy_free_batch(qp, twice, 2);
		return true;
	}
	if (strcmp(how, "foreign") == 0)
		desc->buf = (desc->buf + 8192) % 16384; /* far from what is in use */
	else if (strcmp(how, "wild") == 0)
		desc->buf = 0x00ffffff;
	else if (strcmp(how, "bounds") == 0)
		desc->len = 60000;
	else if (strcmp(how, "flags") == 0)
		desc->flags = IXY_DESC_MORE;
	else if (strcmp(how, "port") == 0)
		desc->port = 999;
	else
		return false;
	ixy_tx_batch(qp, desc, 1);
	return true;
}

int main(int argc, char **argv)
{
	char text[512] = "";
	struct ixy_attach_opts opts = {
		.size = sizeof(opts), .error = text, .error_bytes = sizeof(text)};
	struct ixy_client *client;
	struct ixy_desc desc;
	struct ixy_qp *qp;

	if (argc != 3 || ixy_attach(argv[1], &opts, &client) < 0) {
		fprintf(stderr, "usage: offender SERVER HOW; %s\n", text);
		return 2;
	}
	qp = ixy_queue_pair(client, 0);
	while (ixy_rx_batch(qp, &desc, 1) == 0)
		ixy_wait(qp, IXY_WAKE_RX, -1);
	if (!offend(qp, argv[2], &desc))
		return 2;
	/* asleep when it is thrown out: that wakes it */
	while (ixy_wait(qp, IXY_WAKE_RX, -1) >= 0)
		while (ixy_rx_batch(qp, &desc, 1) > 0)
			;
	ixy_close_reason(client, text, sizeof(text));
	printf("told: %s\n", text);
	fflush(stdout);
	sleep(20);
	return 0;
}
