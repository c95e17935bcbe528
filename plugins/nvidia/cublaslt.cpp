#include "plugins/nvidia/cublaslt.hpp"

#include <map>
#include <memory>
#include <mutex>

#include "base/guard.hpp"
#include "plugins/nvidia/driver.hpp"

namespace flagos::nvidia {
namespace {

// Newest first; a driver takes those of its own major version and of older ones.
struct Known {
  const char* name;
  int major;
};
constexpr Known known_libraries[] = {
    {"libcublasLt.so.13", 13}, {"libcublasLt.so.12", 12}, {"libcublasLt.so.11", 11}};

}  // namespace

CublasLt::CublasLt(const std::string& path) : library_(path) {
#define SYMBOL(name, ...) name = reinterpret_cast<decltype(name)>(library_.symbol(#name));
#include "plugins/nvidia/cublaslt_symbols.inc"
#undef SYMBOL
}

const CublasLt* CublasLt::find(const Host& host, const Driver& driver, std::string* out_reason) {
  static auto& mutex = *new std::mutex;
  static auto& opened = *new std::map<std::string, std::unique_ptr<CublasLt>>;
  const std::lock_guard lock(mutex);
  const auto open = [&](const std::string& path) -> const CublasLt* {
    std::unique_ptr<CublasLt>& library = opened[path];
    if (!library)
      guard([&] { library.reset(new CublasLt(path)); }, [](flagos_status_t, const char*) {});
    return library.get();
  };
  const std::string named(host.get_config("FLAGOS_NVIDIA_CUBLASLT"));
  if (named == "none") {
    *out_reason = "FLAGOS_NVIDIA_CUBLASLT is 'none'";
    return nullptr;
  }
  if (!named.empty()) {
    const CublasLt* const found = open(named);
    if (found == nullptr)
      throw_error(FLAGOS_STATUS_NOT_FOUND,
                  "FLAGOS_NVIDIA_CUBLASLT names '{}', which is no cuBLASLt that can be opened",
                  named);
    return found;
  }
  if (driver.has_cublaslt) return open(driver.path);
  for (const Known& known : known_libraries) {
    if (known.major > driver.version / 1000) continue;
    if (const CublasLt* const found = open(known.name)) return found;
  }
  *out_reason = fmt::format(
      "no libcublasLt.so.{} or older was found; install the CUDA toolkit's cuBLAS (on Debian "
      "libcublas, in Python nvidia-cublas), or name it in FLAGOS_NVIDIA_CUBLASLT",
      driver.version / 1000);
  return nullptr;
}

}  // namespace flagos::nvidia
