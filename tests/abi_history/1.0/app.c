/*
 * A program as somebody wrote it against ABI 1.0. Once 1.0 is released this file stays as it is: it must build against
 * its own headers, and run with every later libflagos and every plugin that it is shown.
 *
 * usage: app PLUGIN FORMAT IMAGE   the image holds the kernel tl_affine
 */
#include <flagos.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int checks;

static void check(int condition, const char* what, int line) {
  ++checks;
  if (condition) return;
  fprintf(stderr, "app of ABI 1.0: line %d: %s; last error: %s\n", line, what, flagos_last_error());
  exit(1);
}
#define CHECK(condition) check((condition) != 0, #condition, __LINE__)
#define OK(call) check((call) == FLAGOS_STATUS_OK, #call, __LINE__)

enum { words = 64, forever_s = 60 };
static const uint64_t patience = (uint64_t)forever_s * 1000000000u;

static flagos_address_t address_of(const void* pointer) { return (uintptr_t)pointer; }

static flagos_address_t allocate(flagos_device_t* device, uint64_t size_bytes) {
  flagos_memory_desc_t desc;
  flagos_address_t address = 0;
  memset(&desc, 0, sizeof(desc));
  desc.struct_size = sizeof(desc);
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  desc.size_bytes = size_bytes;
  OK(flagos_memory_alloc(device, &desc, &address));
  return address;
}

static void expect_words(flagos_stream_t* stream, flagos_address_t memory, uint32_t value) {
  uint32_t found[words];
  memset(found, 0, sizeof(found));
  OK(flagos_memory_copy(stream, address_of(found), memory, sizeof(found)));
  OK(flagos_stream_synchronize(stream, patience));
  for (int i = 0; i < words; ++i) CHECK(found[i] == value);
}

static void move_memory(flagos_device_t* device, flagos_stream_t* stream) {
  const uint32_t value = 0x01020304;
  const unsigned char wide[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  unsigned char found[64];
  flagos_copy_2d_desc_t rows;
  flagos_memory_info_t info;
  const flagos_address_t a = allocate(device, 1024), b = allocate(device, 1024);
  OK(flagos_memory_fill(stream, a, &value, 4, 1024));
  OK(flagos_memory_copy(stream, b, a, 1024));
  expect_words(stream, b, value);
  OK(flagos_memory_fill(stream, a, wide, 16, 64));
  memset(&rows, 0, sizeof(rows));
  rows.struct_size = sizeof(rows);
  rows.target = b;
  rows.source = a;
  rows.target_pitch_bytes = 8;
  rows.source_pitch_bytes = 16;
  rows.width_bytes = 8;
  rows.height = 4;
  OK(flagos_memory_copy_2d(stream, &rows));
  OK(flagos_memory_update(stream, b + 32, wide, 16));
  OK(flagos_memory_copy(stream, address_of(found), b, 48));
  OK(flagos_stream_synchronize(stream, patience));
  for (int i = 0; i < 32; ++i) CHECK(found[i] == i % 8 + 1);
  CHECK(memcmp(found + 32, wide, 16) == 0);
  memset(&info, 0, sizeof(info));
  info.struct_size = sizeof(info);
  OK(flagos_memory_get_info(device, a + 100, &info));
  CHECK(info.base == a && info.size_bytes == 1024);
  CHECK(flagos_memory_copy(stream, b + 1000, a, 100) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(strlen(flagos_last_error()) > 0);
  OK(flagos_memory_free(device, a));
  CHECK(flagos_memory_free(device, a) == FLAGOS_STATUS_INVALID_HANDLE);
  OK(flagos_memory_free(device, b));
}

static void order_work(flagos_device_t* device, flagos_stream_t* stream) {
  flagos_stream_t* other = NULL;
  flagos_event_t *start = NULL, *end = NULL;
  flagos_timeline_t* timeline = NULL;
  flagos_memory_pool_t* pool = NULL;
  flagos_memory_pool_desc_t pool_desc;
  flagos_address_t memory = 0;
  uint64_t value = 0;
  int64_t elapsed = -1;
  uint32_t complete = 0;
  const uint32_t word = 7;
  OK(flagos_stream_create(device, NULL, &other));
  OK(flagos_event_create(device, NULL, &start));
  OK(flagos_event_create(device, NULL, &end));
  OK(flagos_timeline_create(device, 3, &timeline));
  OK(flagos_event_record(start, stream));
  OK(flagos_stream_wait_event(other, start));
  OK(flagos_stream_signal_timeline(other, timeline, 5));
  OK(flagos_stream_wait_timeline(stream, timeline, 5));
  memset(&pool_desc, 0, sizeof(pool_desc));
  pool_desc.struct_size = sizeof(pool_desc);
  pool_desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  OK(flagos_memory_pool_create(device, &pool_desc, &pool));
  OK(flagos_memory_pool_alloc(pool, stream, 4 * words, &memory));
  OK(flagos_memory_fill(stream, memory, &word, 4, 4 * words));
  expect_words(stream, memory, word);
  OK(flagos_memory_pool_free(pool, stream, memory));
  OK(flagos_event_record(end, stream));
  OK(flagos_event_synchronize(end, patience));
  OK(flagos_event_query(end, &complete));
  CHECK(complete == 1);
  OK(flagos_event_get_elapsed(start, end, &elapsed));
  CHECK(elapsed >= 0);
  OK(flagos_timeline_query(timeline, &value));
  CHECK(value == 5);
  OK(flagos_stream_synchronize(stream, patience));
  OK(flagos_memory_pool_destroy(pool));
  OK(flagos_timeline_destroy(timeline));
  OK(flagos_event_destroy(end));
  OK(flagos_event_destroy(start));
  OK(flagos_stream_destroy(other));
}

static void run_kernel(flagos_device_t* device, flagos_stream_t* stream, const char* format,
                       const void* image, uint64_t image_bytes) {
  flagos_module_desc_t module_desc;
  flagos_kernel_desc_t kernel_desc;
  flagos_kernel_info_t info;
  flagos_launch_desc_t launch;
  flagos_argument_t arguments[4];
  flagos_graph_node_desc_t node;
  flagos_kernel_node_desc_t kernel_node;
  flagos_module_t* module = NULL;
  flagos_kernel_t* kernel = NULL;
  flagos_graph_t* graph = NULL;
  flagos_graph_exec_t* exec = NULL;
  flagos_graph_node_t added = 0;
  const uint32_t one = 1;
  const flagos_address_t memory = allocate(device, 4 * words);
  memset(&module_desc, 0, sizeof(module_desc));
  module_desc.struct_size = sizeof(module_desc);
  module_desc.format = format;
  module_desc.data = image;
  module_desc.size_bytes = image_bytes;
  OK(flagos_module_load(device, &module_desc, &module));
  memset(&kernel_desc, 0, sizeof(kernel_desc));
  kernel_desc.struct_size = sizeof(kernel_desc);
  kernel_desc.name = "tl_affine";
  OK(flagos_module_get_kernel(module, &kernel_desc, &kernel));
  memset(&info, 0, sizeof(info));
  info.struct_size = sizeof(info);
  OK(flagos_kernel_get_info(kernel, &info));
  CHECK(info.parameter_count == 4);
  memset(arguments, 0, sizeof(arguments));
  for (int i = 0; i < 4; ++i) {
    arguments[i].dtype = i == 0 ? FLAGOS_DTYPE_ADDRESS : FLAGOS_DTYPE_UINT32;
    arguments[i].size_bytes = i == 0 ? 8 : 4;
  }
  arguments[0].value = memory;
  arguments[1].value = words;
  arguments[2].value = 3;
  arguments[3].value = 2;
  memset(&launch, 0, sizeof(launch));
  launch.struct_size = sizeof(launch);
  for (int i = 0; i < 3; ++i) launch.grid[i] = launch.block[i] = 1;
  launch.grid[0] = 4;
  launch.block[0] = words / 4;
  launch.argument_count = 4;
  launch.arguments = arguments;
  OK(flagos_memory_fill(stream, memory, &one, 4, 4 * words));
  OK(flagos_kernel_launch(stream, kernel, &launch));
  expect_words(stream, memory, 5);
  OK(flagos_graph_create(device, &graph));
  memset(&kernel_node, 0, sizeof(kernel_node));
  kernel_node.struct_size = sizeof(kernel_node);
  kernel_node.kernel = kernel;
  kernel_node.launch = &launch;
  memset(&node, 0, sizeof(node));
  node.struct_size = sizeof(node);
  node.type = FLAGOS_GRAPH_NODE_TYPE_KERNEL;
  node.payload = &kernel_node;
  OK(flagos_graph_add_node(graph, &node, &added));
  OK(flagos_graph_instantiate(graph, &exec));
  OK(flagos_graph_exec_launch(exec, stream));
  OK(flagos_graph_exec_launch(exec, stream));
  expect_words(stream, memory, (5 * 3 + 2) * 3 + 2);
  OK(flagos_graph_exec_destroy(exec));
  OK(flagos_graph_destroy(graph));
  OK(flagos_module_unload(module));
  OK(flagos_memory_free(device, memory));
}

static void* read_file(const char* path, uint64_t* out_size_bytes) {
  void* bytes = NULL;
  long size = 0;
  FILE* const file = fopen(path, "rb");
  CHECK(file != NULL);
  CHECK(fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) > 0 && fseek(file, 0, SEEK_SET) == 0);
  bytes = malloc((size_t)size);
  CHECK(bytes != NULL && fread(bytes, 1, (size_t)size, file) == (size_t)size);
  fclose(file);
  *out_size_bytes = (uint64_t)size;
  return bytes;
}

int main(int argc, char** argv) {
  flagos_runtime_desc_t desc;
  flagos_version_info_t version;
  flagos_device_info_t info;
  flagos_runtime_t* runtime = NULL;
  flagos_device_t* device = NULL;
  flagos_stream_t* stream = NULL;
  flagos_proc_t proc = NULL;
  uint64_t image_bytes = 0;
  void* image = NULL;
  uint32_t count = 0;
  if (argc != 4) {
    fprintf(stderr, "usage: %s PLUGIN FORMAT IMAGE\n", argv[0]);
    return 2;
  }
  image = read_file(argv[3], &image_bytes);
  memset(&version, 0, sizeof(version));
  version.struct_size = sizeof(version);
  OK(flagos_get_version(&version));
  CHECK(version.abi_version >= FLAGOS_ABI_VERSION && version.abi_version_min <= FLAGOS_ABI_VERSION);
  memset(&desc, 0, sizeof(desc));
  desc.struct_size = sizeof(desc);
  desc.abi_version = FLAGOS_ABI_VERSION;
  desc.flags = FLAGOS_RUNTIME_FLAG_NO_SEARCH;
  OK(flagos_runtime_create(&desc, &runtime));
  OK(flagos_runtime_add_plugin(runtime, argv[1]));
  OK(flagos_device_get_count(runtime, &count));
  CHECK(count > 0);
  OK(flagos_device_open(runtime, 0, &device));
  memset(&info, 0, sizeof(info));
  info.struct_size = sizeof(info);
  OK(flagos_device_get_info(device, &info));
  CHECK(info.memory_bytes > 0 && strlen(info.id) > 0);
  OK(flagos_stream_create(device, NULL, &stream));
  move_memory(device, stream);
  order_work(device, stream);
  run_kernel(device, stream, argv[2], image, image_bytes);
  OK(flagos_get_proc("flagos_stream_destroy", FLAGOS_ABI_VERSION, &proc));
  CHECK(proc != NULL);
  OK(flagos_stream_destroy(stream));
  OK(flagos_device_close(device));
  OK(flagos_runtime_destroy(runtime));
  free(image);
  printf("app of ABI 1.0 on %s: %d checks\n", info.id, checks);
  return 0;
}
