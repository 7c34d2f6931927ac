/* xdp_program.c - assembles, loads and attaches the XDP program by bpf(2), without a library */
#include "server/driver/xdp_program.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* bpf(2); a kernel that knows fewer attributes accepts the rest as long as it is zero */
static int bpf(enum bpf_cmd command, union bpf_attr *attr)
{
	long result = syscall(SYS_bpf, command, attr, sizeof(*attr));

	return result < 0 ? -errno : (int)result;
}

static int make_map(unsigned int num_queues)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_XSKMAP,
		.key_size = sizeof(uint32_t),
		.value_size = sizeof(uint32_t),
		.max_entries = num_queues,
		.map_name = "ixy_sockets",
	};

	return bpf(BPF_MAP_CREATE, &attr);
}

/*
 *	return bpf_redirect_map(&sockets, context->rx_queue_index, XDP_PASS);
 *
 * The low bits of the third argument are what is returned when the map has no socket for the queue
 * (linux/bpf.h, bpf_redirect_map): such a queue stays the kernel's.
 */
static int load_code(int map_fd)
{
	const struct bpf_insn code[] = {
		/* r2 = r1->rx_queue_index; r1 is the context */
		{.code = BPF_LDX | BPF_MEM | BPF_W,
	         .dst_reg = BPF_REG_2,
	         .src_reg = BPF_REG_1,
	         .off = offsetof(struct xdp_md, rx_queue_index)},
		/* r1 = the map: two slots, the loader puts the address in */
		{.code = BPF_LD | BPF_IMM | BPF_DW,
	         .dst_reg = BPF_REG_1,
	         .src_reg = BPF_PSEUDO_MAP_FD,
	         .imm = map_fd},
		{0},
		/* r3 = XDP_PASS */
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = XDP_PASS},
		/* r0 = bpf_redirect_map(r1, r2, r3) */
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_XDP,
		.expected_attach_type = BPF_XDP,
		.insns = (uintptr_t)code,
		.insn_cnt = sizeof(code) / sizeof(code[0]),
		.license = (uintptr_t) "Dual MIT/GPL",
		.prog_name = "ixy_xdp",
	};

	return bpf(BPF_PROG_LOAD, &attr);
}

int xdp_program_load(struct xdp_program *program, unsigned int num_queues)
{
	*program = XDP_PROGRAM_NONE;
	program->map_fd = make_map(num_queues);
	if (program->map_fd < 0)
		return program->map_fd;
	program->code_fd = load_code(program->map_fd);
	return program->code_fd < 0 ? program->code_fd : 0;
}

static int attach(const struct xdp_program *program, int ifindex, unsigned int flags)
{
	union bpf_attr attr = {0};

	attr.link_create.prog_fd = (unsigned int)program->code_fd;
	attr.link_create.target_ifindex = (unsigned int)ifindex;
	attr.link_create.attach_type = BPF_XDP;
	attr.link_create.flags = flags;
	return bpf(BPF_LINK_CREATE, &attr);
}

/* Not refused by the device, but for a reason that holds for the generic hook as well. */
static bool is_final(int err)
{
	return err == -EBUSY || err == -EEXIST || err == -EPERM || err == -ENODEV;
}

int xdp_program_attach(struct xdp_program *program, int ifindex)
{
	program->native = true;
	program->link_fd = attach(program, ifindex, XDP_FLAGS_DRV_MODE);
	if (program->link_fd < 0 && !is_final(program->link_fd)) {
		program->native = false;
		program->link_fd = attach(program, ifindex, XDP_FLAGS_SKB_MODE);
	}
	return program->link_fd < 0 ? program->link_fd : 0;
}

int xdp_program_connect(struct xdp_program *program, unsigned int queue, int socket)
{
	uint32_t key = queue, value = (uint32_t)socket;
	union bpf_attr attr = {
		.map_fd = (unsigned int)program->map_fd,
		.key = (uintptr_t)&key,
		.value = (uintptr_t)&value,
	};

	return bpf(BPF_MAP_UPDATE_ELEM, &attr);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void xdp_program_close(struct xdp_program *program)
{
	close_fd(&program->link_fd); /* first: frames go to the kernel again while the rest is freed
				      */
	close_fd(&program->code_fd);
	close_fd(&program->map_fd);
}
