// Device code: shared objects of the format elf-so, given as bytes, and the kernels in them.
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <vector>

#include "skeleton.hpp"

flagos_plugin_module_t::~flagos_plugin_module_t() {
  if (library) dlclose(library);
  if (file >= 0) ::close(file);
}

namespace skeleton {

#if defined(__x86_64__)
constexpr Elf64_Half kMachine = EM_X86_64;
constexpr char kTarget[] = "x86_64";
#elif defined(__aarch64__)
constexpr Elf64_Half kMachine = EM_AARCH64;
constexpr char kTarget[] = "aarch64";
#endif

struct Image {
  const std::byte* data;
  std::uint64_t size;

  void require(bool condition, const char* what) const {
    if (!condition) throw Error(FLAGOS_STATUS_INVALID_IMAGE, std::string("the image ") + what);
  }
  void require_inside(std::uint64_t offset, std::uint64_t bytes) const {
    require(offset <= size && bytes <= size - offset, "is truncated");
  }
  template <typename T>
  T read(std::uint64_t offset) const {
    T value;
    require_inside(offset, sizeof(value));
    std::memcpy(&value, data + offset, sizeof(value));
    return value;
  }
};

// A cut or foreign image must not reach the dynamic linker, which maps what the headers promise and
// then dies of SIGBUS.
static void check(const Image& image) {
  const auto header = image.read<Elf64_Ehdr>(0);
  image.require(std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0, "is not an ELF file");
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != kMachine) {
    throw Error(FLAGOS_STATUS_UNSUPPORTED, std::string("the image is not for ") + kTarget);
  }
  image.require(header.e_type == ET_DYN && header.e_phnum > 0, "is not a shared object");
  image.require(header.e_phentsize == sizeof(Elf64_Phdr), "has bad program headers");
  image.require(header.e_shentsize == sizeof(Elf64_Shdr), "has bad section headers");
  image.require_inside(header.e_phoff, 0);
  image.require_inside(header.e_shoff, 0);
  for (std::uint64_t i = 0; i < header.e_phnum; ++i) {
    const auto segment = image.read<Elf64_Phdr>(header.e_phoff + i * sizeof(Elf64_Phdr));
    image.require_inside(segment.p_offset, segment.p_filesz);
  }
  for (std::uint64_t i = 0; i < header.e_shnum; ++i) {
    const auto section = image.read<Elf64_Shdr>(header.e_shoff + i * sizeof(Elf64_Shdr));
    if (section.sh_type != SHT_NOBITS) image.require_inside(section.sh_offset, section.sh_size);
  }
}

static void* open_library(int file, int flags) {
  const std::string path = "/proc/self/fd/" + std::to_string(file);
  return dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | flags);
}

static flagos_status_t get_format(flagos_plugin_device_t*, std::uint32_t index,
                                  flagos_format_info_t* out_info) {
  if (index > 0) return FLAGOS_STATUS_NOT_FOUND;
  flagos_format_info_t info{};
  info.flags = FLAGOS_FORMAT_FLAG_LOAD | FLAGOS_FORMAT_FLAG_REFLECTION;
  std::strcpy(info.name, "elf-so");
  std::strcpy(info.version, "1.0");
  std::strcpy(info.target, kTarget);
  info.schedule_class = FLAGOS_SCHEDULE_CLASS_SERIAL;
  write_out(out_info, info);
  return FLAGOS_STATUS_OK;
}

static void load(flagos_plugin_device_t* device, const flagos_module_desc_t* desc,
                 flagos_plugin_module_t** out_module) {
  const Image image{static_cast<const std::byte*>(desc->data), desc->size_bytes};
  check(image);
  std::unique_ptr<flagos_plugin_module_t> module(new flagos_plugin_module_t{device->host});
  module->file = memfd_create("flagos_module", MFD_CLOEXEC);
  if (::write(module->file, image.data, image.size) != static_cast<ssize_t>(image.size)) {
    throw Error(FLAGOS_STATUS_OUT_OF_RESOURCES, "the image cannot be stored in a memory file");
  }
  // The linker knows a library by its path: numbers that a resident library came from are passed
  // over.
  while (void* resident = open_library(module->file, RTLD_NOLOAD)) {
    dlclose(resident);
    ::close(std::exchange(module->file, fcntl(module->file, F_DUPFD_CLOEXEC, module->file + 1)));
  }
  module->library = open_library(module->file, 0);
  if (!module->library) throw Error(FLAGOS_STATUS_INVALID_IMAGE, dlerror());
  *out_module = module.release();
}

static void get_kernel(flagos_plugin_module_t* module, const flagos_kernel_desc_t* desc,
                       flagos_plugin_kernel_t** out_kernel) {
  const std::string symbol = std::string(FLAGOS_CPU_KERNEL_SYMBOL_PREFIX) + desc->name;
  const auto* found = static_cast<flagos_cpu_kernel_t*>(dlsym(module->library, symbol.c_str()));
  if (!found) throw Error(FLAGOS_STATUS_NOT_FOUND, "the module does not export " + symbol);
  if (found->struct_size < sizeof(*found) || !found->function ||
      FLAGOS_VERSION_MAJOR(found->abi_version) != FLAGOS_ABI_MAJOR ||
      found->argument_bytes > kMaxArgumentBytes) {
    throw Error(FLAGOS_STATUS_INVALID_IMAGE, symbol + " is not a descriptor of ABI 1");
  }
  const std::lock_guard lock(module->mutex);
  const auto at = module->kernels.try_emplace(desc->name, module->host, desc->name, found).first;
  *out_kernel = &at->second;
}

constinit const flagos_module_table_t module_table = {
    sizeof(module_table), 1, get_format, entry<load>, delete_object, entry<get_kernel>};

// Arguments and shared memory are aligned to 64, the most that a parameter asks for.
struct alignas(64) Chunk {
  std::byte bytes[64];
};
using Chunks = std::vector<Chunk>;
static Chunks chunks(std::uint64_t size_bytes) {
  return Chunks((size_bytes + sizeof(Chunk) - 1) / sizeof(Chunk));
}

struct BlockFailure {
  flagos_status_t status;
  char text[256];
};
// Called by a kernel, from C: nothing here may throw.
static void fail(const flagos_cpu_block_t* block, flagos_status_t status, const char* text) {
  auto* failure = static_cast<BlockFailure*>(block->context);
  const bool error = FLAGOS_STATUS_CLASS(status) != FLAGOS_STATUS_CLASS_ANSWER;
  failure->status = error ? status : FLAGOS_STATUS_EXECUTION_FAILED;
  std::snprintf(failure->text, sizeof(failure->text), "%s", text ? text : "the kernel failed");
}

static void run_blocks(const flagos_plugin_kernel_t& kernel, const flagos_launch_desc_t& desc,
                       const Chunks& arguments) {
  BlockFailure failure{};
  flagos_cpu_block_t call{};
  call.struct_size = sizeof(call);
  std::copy_n(desc.grid, 3, call.grid);
  std::copy_n(desc.block, 3, call.block);
  call.shared_bytes = desc.shared_bytes + kernel.descriptor->static_shared_bytes;
  Chunks shared = chunks(call.shared_bytes);
  call.shared = call.shared_bytes > 0 ? shared.data() : nullptr;
  call.fail = fail;
  call.context = &failure;
  auto& [x, y, z] = call.block_index;
  for (z = 0; z < desc.grid[2]; ++z) {
    for (y = 0; y < desc.grid[1]; ++y) {
      for (x = 0; x < desc.grid[0]; ++x) {
        kernel.descriptor->function(&call, arguments.data());
        if (failure.status != FLAGOS_STATUS_OK) throw Error(failure.status, failure.text);
      }
    }
  }
}

static void get_info(flagos_plugin_kernel_t* kernel, flagos_kernel_info_t* out_info) {
  const flagos_cpu_kernel_t& descriptor = *kernel->descriptor;
  flagos_kernel_info_t info{};
  info.flags = FLAGOS_KERNEL_FLAG_SIGNATURE;
  kernel->name.copy(info.name, sizeof(info.name) - 1);
  info.parameter_count = descriptor.parameter_count;
  info.argument_bytes = descriptor.argument_bytes;
  info.max_block_threads =
      descriptor.max_block_threads > 0 ? descriptor.max_block_threads : kMaxBlockThreads;
  info.static_shared_bytes = descriptor.static_shared_bytes;
  write_out(out_info, info);
}

static void get_parameter(flagos_plugin_kernel_t* kernel, std::uint32_t index,
                          flagos_parameter_t* out) {
  *out = kernel->descriptor->parameters[index];
}

static void launch(flagos_plugin_stream_t* stream, flagos_plugin_kernel_t* kernel,
                   const flagos_launch_desc_t* desc) {
  Chunks arguments = chunks(desc->argument_bytes);
  if (!arguments.empty()) {
    std::memcpy(arguments.data(), desc->argument_block, desc->argument_bytes);
  }
  stream->submit([kernel, launch_desc = *desc, arguments = std::move(arguments)] {
    run_blocks(*kernel, launch_desc, arguments);
  });
}

constinit const flagos_kernel_table_t kernel_table = {sizeof(kernel_table), 1, entry<get_info>,
                                                      entry<get_parameter>, entry<launch>};

}  // namespace skeleton
