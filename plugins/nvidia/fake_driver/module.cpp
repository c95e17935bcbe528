// Modules: an object of the host's that is opened from memory; functions, and launches of them.
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "base/elf.hpp"
#include "plugins/nvidia/fake_driver/fake.hpp"
#include "plugins/nvidia/fake_driver/image.hpp"

namespace flagos::nvidia::fake {
namespace {

constexpr unsigned most_shared_bytes = 160 << 10;

// The descriptor stays open with the module: its number is the name by which the dynamic linker knows the object.
void* open_object(const std::vector<char>& object, int* out_fd) {
  const int fd = memfd_create("fake-cuda-module", MFD_CLOEXEC);
  if (fd < 0) return nullptr;
  void* library = nullptr;
  if (write(fd, object.data(), object.size()) == static_cast<ssize_t>(object.size()))
    library = dlopen(("/proc/self/fd/" + std::to_string(fd)).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    close(fd);
    return nullptr;
  }
  *out_fd = fd;
  return library;
}

void destroy(CUmodule module) {
  if (module->library != nullptr) dlclose(module->library);
  if (module->fd >= 0) close(module->fd);
  delete module;
}

}  // namespace

// Shared by launches and by nodes of graphs.
CUresult make_launch(CUfunction function, const unsigned (&grid)[3], const unsigned (&block)[3],
                     unsigned shared_bytes, void** params, void** extra,
                     std::shared_ptr<Launch>* out_launch) {
  const flagos_fake_kernel& kernel = *function->kernel;
  constexpr unsigned most_grid[] = {INT32_MAX, 65535, 65535}, most_block[] = {1024, 1024, 64};
  for (int i = 0; i < 3; ++i)
    if (grid[i] == 0 || block[i] == 0 || grid[i] > most_grid[i] || block[i] > most_block[i])
      return CUDA_ERROR_INVALID_VALUE;
  if (std::uint64_t{block[0]} * block[1] * block[2] > kernel.max_threads ||
      shared_bytes > static_cast<unsigned>(function->max_dynamic_shared))
    return CUDA_ERROR_INVALID_VALUE;
  const unsigned char* given = nullptr;
  std::size_t size = 0;
  for (void** item = extra; item != nullptr && *item != CU_LAUNCH_PARAM_END; item += 2) {
    if (*item == CU_LAUNCH_PARAM_BUFFER_POINTER) given = static_cast<const unsigned char*>(item[1]);
    if (*item == CU_LAUNCH_PARAM_BUFFER_SIZE) size = *static_cast<const std::size_t*>(item[1]);
  }
  if (params != nullptr || size < kernel.argument_bytes) return CUDA_ERROR_INVALID_VALUE;
  auto launch = std::make_shared<Launch>();
  launch->kernel = &kernel;
  launch->slot = function->module->image->slot;
  std::copy_n(grid, 3, launch->grid);
  std::copy_n(block, 3, launch->block);
  launch->shared_bytes = shared_bytes;
  if (size != 0) launch->arguments.assign(given, given + size);
  *out_launch = std::move(launch);
  return CUDA_SUCCESS;
}

namespace {

// Blocks that a multiprocessor has room for; none with more shared memory than the kernel is allowed.
unsigned blocks_of_unit(const CUfunc_st& function, unsigned threads, unsigned shared_bytes) {
  if (shared_bytes > static_cast<unsigned>(function.max_dynamic_shared)) return 0;
  const unsigned by_threads = std::min(32u, 2048 / ((threads + 31) / 32 * 32));
  return shared_bytes == 0 ? by_threads : std::min(by_threads, most_shared_bytes / shared_bytes);
}

}  // namespace

CUresult apply(int attribute, const CUlaunchAttributeValue& value, CUfunction function,
               Launch& launch) {
  if (attribute == CU_LAUNCH_ATTRIBUTE_COOPERATIVE) {
    const std::uint64_t blocks = std::uint64_t{launch.grid[0]} * launch.grid[1] * launch.grid[2];
    const unsigned threads = launch.block[0] * launch.block[1] * launch.block[2];
    if (blocks > multiprocessors * blocks_of_unit(*function, threads, launch.shared_bytes))
      return CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE;
    if (value.cooperative != 0) std::copy_n(launch.grid, 3, launch.together);
    return CUDA_SUCCESS;
  }
  if (attribute != CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION) return CUDA_ERROR_INVALID_VALUE;
  if (capability() < 90) return CUDA_ERROR_NOT_SUPPORTED;
  const auto& cluster = value.clusterDim;
  const unsigned sizes[] = {cluster.x, cluster.y, cluster.z};
  for (int i = 0; i < 3; ++i) {
    if (sizes[i] == 0 || launch.grid[i] % sizes[i] != 0) return CUDA_ERROR_INVALID_VALUE;
    launch.together[i] = std::max(launch.together[i], sizes[i]);
  }
  return cluster.x * cluster.y * cluster.z <= 8 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CLUSTER_SIZE;
}

}  // namespace flagos::nvidia::fake

using namespace flagos::nvidia;

FAKE_EXPORT CUresult cuModuleLoadDataEx(CUmodule* module, const void* image, unsigned,
                                        CUjit_option*, void**) try {
  FAKE_CONTEXT_CALL(cuModuleLoadDataEx);
  std::vector<char> object;
  if (const CUresult wrong = fake::read_image(image, object); wrong != CUDA_SUCCESS) return wrong;
  auto* made = new CUmod_st;
  made->context = context;
  made->library = fake::open_object(object, &made->fd);
  if (made->library != nullptr)
    made->image = static_cast<const flagos_fake_module*>(dlsym(made->library, "flagos_fake_image"));
  if (made->image == nullptr) {
    fake::destroy(made);
    return CUDA_ERROR_INVALID_IMAGE;
  }
  for (unsigned i = 0; i < made->image->kernel_count; ++i)
    made->functions.push_back({made, &made->image->kernels[i], 48 << 10});
  for (const flagos::ElfSymbol& symbol :
       flagos::read_elf_library(std::as_bytes(std::span(object))).exported)
    if (!symbol.function && symbol.size != 0 && symbol.name != "flagos_fake_image")
      made->variables[symbol.name] = symbol.size;
  fake::enter(made);
  fake::count_object(1);
  *module = made;
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuModuleUnload(CUmodule module) try {
  FAKE_NEEDS_CONTEXT();
  fake::leave(module, __func__);
  fake::count_object(-1);
  fake::destroy(module);
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuModuleGetFunction(CUfunction* function, CUmodule module,
                                         const char* name) try {
  FAKE_LIVE(module);
  FAKE_CONTEXT_CALL(cuModuleGetFunction);
  for (CUfunc_st& known : module->functions) {
    if (std::strcmp(known.kernel->name, name) != 0) continue;
    *function = &known;
    return CUDA_SUCCESS;
  }
  return CUDA_ERROR_NOT_FOUND;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuModuleGetFunctionCount(unsigned* count, CUmodule module) try {
  FAKE_LIVE(module);
  FAKE_CALL(cuModuleGetFunctionCount);
  *count = static_cast<unsigned>(module->functions.size());
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuModuleEnumerateFunctions(CUfunction* functions, unsigned count,
                                                CUmodule module) try {
  FAKE_LIVE(module);
  FAKE_CALL(cuModuleEnumerateFunctions);
  for (unsigned i = 0; i < std::min<std::size_t>(count, module->functions.size()); ++i)
    functions[i] = &module->functions[i];
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuModuleGetGlobal_v2(CUdeviceptr* address, std::size_t* size, CUmodule module,
                                          const char* name) try {
  FAKE_LIVE(module);
  FAKE_CONTEXT_CALL(cuModuleGetGlobal_v2);
  const auto found = module->variables.find(name);
  if (found == module->variables.end()) return CUDA_ERROR_NOT_FOUND;
  if (address != nullptr) *address = reinterpret_cast<CUdeviceptr>(dlsym(module->library, name));
  if (size != nullptr) *size = found->second;
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuFuncGetName(const char** name, CUfunction function) try {
  FAKE_CALL(cuFuncGetName);
  *name = function->kernel->name;
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuFuncGetParamInfo(CUfunction function, std::size_t index, std::size_t* offset,
                                        std::size_t* size) try {
  FAKE_CALL(cuFuncGetParamInfo);
  if (index >= function->kernel->parameter_count) return CUDA_ERROR_INVALID_VALUE;
  *offset = function->kernel->parameters[index].offset;
  if (size != nullptr) *size = function->kernel->parameters[index].size;
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuFuncGetAttribute(int* value, CUfunction_attribute attribute,
                                        CUfunction function) try {
  FAKE_CALL(cuFuncGetAttribute);
  switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
      *value = static_cast<int>(function->kernel->max_threads);
      return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
      *value = 0;  // it is the host's thread-local memory
      return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_NUM_REGS:
      *value = 32;
      return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
      *value = function->max_dynamic_shared;
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}
FAKE_CATCH

FAKE_EXPORT CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute,
                                        int value) try {
  FAKE_CALL(cuFuncSetAttribute);
  if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value < 0 ||
      value > static_cast<int>(fake::most_shared_bytes))
    return CUDA_ERROR_INVALID_VALUE;
  function->max_dynamic_shared = value;
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y,
                                    unsigned grid_z, unsigned block_x, unsigned block_y,
                                    unsigned block_z, unsigned shared_bytes, CUstream stream,
                                    void** params, void** extra) try {
  FAKE_LIVE(stream);
  FAKE_LIVE(function->module);
  FAKE_CONTEXT_CALL(cuLaunchKernel);
  if (stream == nullptr || stream->context != context || function->module->context != context)
    return CUDA_ERROR_INVALID_HANDLE;
  std::shared_ptr<fake::Launch> launch;
  if (const CUresult wrong =
          fake::make_launch(function, {grid_x, grid_y, grid_z}, {block_x, block_y, block_z},
                            shared_bytes, params, extra, &launch);
      wrong != CUDA_SUCCESS)
    return wrong;
  fake::enqueue(stream, {[context, grid = fake::make_grid(std::move(launch))] {
                  return fake::run(context, grid);
                }});
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function,
                                      void** params, void** extra) try {
  FAKE_LIVE(config->hStream);
  FAKE_LIVE(function->module);
  FAKE_CONTEXT_CALL(cuLaunchKernelEx);
  if (config->hStream == nullptr || config->hStream->context != context ||
      function->module->context != context)
    return CUDA_ERROR_INVALID_HANDLE;
  const unsigned grid[] = {config->gridDimX, config->gridDimY, config->gridDimZ};
  const unsigned block[] = {config->blockDimX, config->blockDimY, config->blockDimZ};
  std::shared_ptr<fake::Launch> launch;
  if (const CUresult wrong =
          fake::make_launch(function, grid, block, config->sharedMemBytes, params, extra, &launch);
      wrong != CUDA_SUCCESS)
    return wrong;
  for (unsigned i = 0; i < config->numAttrs; ++i)
    if (const CUresult wrong =
            fake::apply(config->attrs[i].id, config->attrs[i].value, function, *launch);
        wrong != CUDA_SUCCESS)
      return wrong;
  fake::enqueue(config->hStream, {[context, grid_of = fake::make_grid(std::move(launch))] {
                  return fake::run(context, grid_of);
                }});
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction function,
                                                                 int threads,
                                                                 std::size_t shared_bytes) try {
  FAKE_CALL(cuOccupancyMaxActiveBlocksPerMultiprocessor);
  if (threads <= 0 || threads > static_cast<int>(function->kernel->max_threads))
    return CUDA_ERROR_INVALID_VALUE;
  *blocks = static_cast<int>(fake::blocks_of_unit(*function, static_cast<unsigned>(threads),
                                                  static_cast<unsigned>(shared_bytes)));
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuOccupancyMaxPotentialBlockSize(int* grid, int* threads, CUfunction function,
                                                      CUoccupancyB2DSize, std::size_t, int) try {
  FAKE_CALL(cuOccupancyMaxPotentialBlockSize);
  *grid = 8;
  *threads = std::min(256, static_cast<int>(function->kernel->max_threads));
  return CUDA_SUCCESS;
}
FAKE_CATCH
