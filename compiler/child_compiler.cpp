#include "compiler/child_compiler.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <dlfcn.h>
#include <flagos_cpu_kernel.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/error.hpp"

namespace flagos::compiler::test {
namespace {

std::string compiler() {
  const char* given = std::getenv("FLAGOS_TEST_CXX");
  if (given != nullptr) return given;
  for (const char* name : {"g++", "clang++"})
    if (std::system(fmt::format("command -v {} >/dev/null 2>&1", name).c_str()) == 0) return name;
  return "";
}

std::string read(const std::filesystem::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

// As the interpreter prints.
std::string print(const flagos_cpu_value_t& value) {
  std::string text = value.count == 0 ? " " : " [";
  for (std::uint32_t i = 0; i < value.shown; ++i) {
    const auto at = [&]<typename T>(T) { return static_cast<const T*>(value.data)[i]; };
    text += i == 0 ? "" : ", ";
    switch (value.dtype) {
      case FLAGOS_DTYPE_BOOL:
        text += at(std::uint8_t{}) != 0 ? "true" : "false";
        break;
      case FLAGOS_DTYPE_INT64:
        text += std::to_string(at(std::int64_t{}));
        break;
      case FLAGOS_DTYPE_UINT64:
        text += std::to_string(at(std::uint64_t{}));
        break;
      case FLAGOS_DTYPE_FLOAT32:
        text += print_literal(DType::f32, encode_float(DType::f32, at(float{})));
        break;
      default:
        text += print_literal(DType::f64, encode_float(DType::f64, at(double{})));
    }
  }
  if (value.count > value.shown) text += ", ...";
  return text + (value.count == 0 ? "" : "]");
}

std::vector<std::byte> pack(const Kernel& kernel, const std::vector<ArgumentValue>& arguments) {
  std::vector<std::byte> packed;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const Type& type = kernel.values[i];
    const std::size_t bytes = type.kind == Type::Kind::pointer ? 8 : static_cast<std::size_t>(info(type.dtype).bytes);
    packed.resize((packed.size() + bytes - 1) / bytes * bytes + bytes);
    std::memcpy(packed.data() + packed.size() - bytes, &arguments[i].bits, bytes);
  }
  packed.resize((packed.size() + 7) / 8 * 8 + 8);
  return packed;
}

}  // namespace

bool has_child_compiler() { return !compiler().empty(); }

std::string host_target() {
#if defined(__x86_64__)
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  const bool amx = __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx >> 22 & 1) != 0 && (edx >> 24 & 1) != 0;
  if (__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
    return !__builtin_cpu_supports("avx512bf16") ? "gnu-c++;isa=x86-64-v4"
           : amx                                 ? "gnu-c++;isa=x86-64-v4+amx"
                                                 : "gnu-c++;isa=x86-64-v4+bf16";
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "gnu-c++;isa=x86-64-v3";
#endif
  return "gnu-c++";
}

ChildLibrary::ChildLibrary(const Lowered& lowered, const std::vector<std::string>& extra) {
  static int count = 0;
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / fmt::format("flagos_tile_{}_{}", getpid(), count++);
  std::filesystem::create_directories(folder);
  const std::string source = folder / "kernels.cpp", library = folder / "kernels.so", log = folder / "log";
  std::ofstream(source) << lowered.source;
  std::string command = compiler();
  // As the cpu plugin does: at -O1 gcc makes no multiply-adds without it.
  if (command.find("clang") == std::string::npos) command += " -fexpensive-optimizations";
  for (const auto* options : {&lowered.options, &extra})
    for (const std::string& option : *options) command += " " + option;
  command += fmt::format(" {} -o {} > {} 2>&1", source, library, log);
  const int status = std::system(command.c_str());
  const std::string text = read(log);
  if (status == 0) handle_ = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  const char* problem = handle_ == nullptr ? dlerror() : nullptr;
  if (std::getenv("FLAGOS_TEST_KEEP") == nullptr) std::filesystem::remove_all(folder);
  if (handle_ == nullptr)
    throw Error(FLAGOS_STATUS_INTERNAL, fmt::format("{}\n{}\n{}", command, text, problem != nullptr ? problem : ""));
}

ChildLibrary::~ChildLibrary() {
  if (handle_ != nullptr) dlclose(handle_);
}

void* ChildLibrary::find(const std::string& symbol) const { return dlsym(handle_, symbol.c_str()); }

std::string ChildLibrary::run(std::string_view kernel, std::array<std::uint32_t, 3> grid, const Module& module,
                              const std::vector<ArgumentValue>& arguments, std::string* printed) const {
  const auto* descriptor =
      static_cast<const flagos_cpu_kernel_t*>(find(fmt::format("{}{}", FLAGOS_CPU_KERNEL_SYMBOL_PREFIX, kernel)));
  if (descriptor == nullptr) return fmt::format("there is no kernel '{}'", kernel);
  std::vector<std::byte> packed;
  for (const Kernel& candidate : module.kernels)
    if (candidate.name == kernel) packed = pack(candidate, arguments);
  struct Context {
    std::string failure;
    std::string* printed;
  } context{"", printed};
  std::string& failure = context.failure;
  flagos_cpu_block_t block{};
  block.struct_size = sizeof block;
  for (std::size_t i = 0; i < 3; ++i) {
    block.grid[i] = grid[i];
    block.block[i] = 1;
  }
  block.shared_bytes = descriptor->static_shared_bytes;
  void* scratch = nullptr;
  if (block.shared_bytes != 0) scratch = std::aligned_alloc(64, (std::size_t{block.shared_bytes} + 63) / 64 * 64);
  // What a program reads before it writes is seen.
  if (scratch != nullptr) std::memset(scratch, 0xAB, block.shared_bytes);
  block.shared = scratch;
  block.context = &context;
  block.report = [](const flagos_cpu_block_t* printing, const char* text, const flagos_cpu_value_t* values,
                    std::uint32_t value_count) {
    std::string* out = static_cast<Context*>(printing->context)->printed;
    if (out == nullptr) return;
    *out += text;
    for (std::uint32_t v = 0; v < value_count; ++v) *out += print(values[v]);
    *out += '\n';
  };
  block.fail = [](const flagos_cpu_block_t* failing, flagos_status_t, const char* text) {
    static_cast<Context*>(failing->context)->failure = text;
  };
  for (std::uint32_t z = 0; z < grid[2]; ++z)
    for (std::uint32_t y = 0; y < grid[1]; ++y)
      for (std::uint32_t x = 0; x < grid[0] && failure.empty(); ++x) {
        block.block_index[0] = x;
        block.block_index[1] = y;
        block.block_index[2] = z;
        descriptor->function(&block, packed.data());
      }
  std::free(scratch);
  return failure;
}

}  // namespace flagos::compiler::test
