// What a kernel that the host's compiler made and the fake that runs it know of each other. Stands before twin.hpp in
// every kernel's text, so it includes nothing.
struct flagos_fake_dim3 {
  unsigned x, y, z;
};

// One thread of a block. `wait` comes back when the others of the block (0) or of the warp (1) have come as far; `trap`
// never does.
struct flagos_fake_thread {
  flagos_fake_dim3 thread, block, block_dim, grid_dim;
  void* shared;  // the block's dynamic shared memory
  unsigned lane;
  unsigned long long* exchange;  // [32], of its warp
  unsigned (*wait)(flagos_fake_thread* self, int warp);
  void (*trap)(flagos_fake_thread* self, int code);
};

struct flagos_fake_parameter {
  unsigned long long offset, size;
};

struct flagos_fake_kernel {
  const char* name;
  void (*call)(const unsigned char* block);  // unpacks the arguments
  const flagos_fake_parameter* parameters;
  unsigned parameter_count;
  unsigned argument_bytes;
  unsigned max_threads;
};

// What the symbol flagos_fake_module points to.
struct flagos_fake_module {
  const flagos_fake_kernel* kernels;
  unsigned kernel_count;
  flagos_fake_thread** (*slot)();  // where the calling thread's own is kept
};
