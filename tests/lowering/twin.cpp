#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>

#include "base/error.hpp"
#include "tests/lowering/device.hpp"

namespace flagos::compiler::test {
namespace {

std::string find_compiler() {
  for (const char* name : {"g++", "clang++", "c++"})
    if (std::system(fmt::format("command -v {} > /dev/null 2>&1", name).c_str()) == 0) return name;
  throw_error(FLAGOS_STATUS_NOT_FOUND, "none of g++, clang++ and c++ is there");
}

// A folder that goes with all that is in it.
struct Folder {
  std::string path =
      (std::getenv("TMPDIR") ? std::getenv("TMPDIR") : std::string("/tmp")) + "/flagos_twin_XXXXXX";
  Folder() {
    if (!mkdtemp(path.data())) throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "no folder {}", path);
  }
  ~Folder() {
    for (const char* name : {"/kernels.cpp", "/kernels.so", "/log"}) unlink((path + name).c_str());
    rmdir(path.c_str());
  }
};

}  // namespace

Twin::Twin(std::string include) : include_(std::move(include)), compiler_(find_compiler()) {}

Twin::~Twin() {
  for (void* library : libraries_) dlclose(library);
}

Runner::Loaded Twin::load(const std::string&, const std::string& source) {
  const Folder folder;
  const std::string text = folder.path + "/kernels.cpp", library = folder.path + "/kernels.so",
                    log = folder.path + "/log";
  std::ofstream(text) << source;
  const std::string command = fmt::format(
      "{} -std=c++17 -O1 -w -ffp-contract=off -shared -fPIC -fvisibility=hidden -I{} {} -o {} > {} "
      "2>&1",
      compiler_, include_, text, library, log);
  if (std::system(command.c_str()) != 0) {
    std::ifstream file(log);
    const std::string said((std::istreambuf_iterator<char>(file)),
                           std::istreambuf_iterator<char>());
    throw_error(FLAGOS_STATUS_COMPILE_FAILED, "{}: {}", compiler_, said.substr(0, 3000));
  }
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) throw_error(FLAGOS_STATUS_NOT_FOUND, "{}", dlerror());
  libraries_.push_back(handle);
  return handle;
}

std::vector<std::vector<std::byte>> Twin::run(Loaded module, const LaunchRecord& record,
                                              const Case& made) {
  using Entry = int (*)(const std::uint32_t*, const std::uint64_t*);
  const auto entry =
      reinterpret_cast<Entry>(dlsym(module, ("flagos_tile_run_" + record.kernel).c_str()));
  if (!entry) throw_error(FLAGOS_STATUS_NOT_FOUND, "{}", dlerror());
  std::vector<std::vector<std::byte>> memory;
  std::vector<std::uint64_t> arguments;
  for (const Case::Argument& argument : made.arguments) memory.push_back(argument.memory);
  for (std::size_t i = 0; i < memory.size(); ++i) {
    std::uint64_t bits = reinterpret_cast<std::uintptr_t>(memory[i].data());
    if (!made.arguments[i].pointer) {
      bits = 0;
      std::memcpy(&bits, memory[i].data(), memory[i].size());
    }
    arguments.push_back(bits);
  }
  const int status = entry(made.grid.data(), arguments.data());
  if (status != 0) throw_error(status, "running {}", made.name);
  return memory;
}

}  // namespace flagos::compiler::test
