#include "plugins/nvidia/nccl.hpp"

#include <map>
#include <memory>
#include <mutex>

#include "base/guard.hpp"
#include "plugins/nvidia/driver.hpp"

namespace flagos::nvidia {
namespace {

constexpr const char* usual_library = "libnccl.so.2";

}  // namespace

Nccl::Nccl(const std::string& path) : library_(path) {
  const auto get_version =
      reinterpret_cast<decltype(ncclGetVersion)>(library_.symbol("ncclGetVersion"));
  get_version(&version_);
  // The first whose calls can be waited for with a limit.
  if (version_ < 21400)
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "{} is NCCL {}; 2.14 or newer is needed", path,
                version_text());
#define SYMBOL(name, ...) name = reinterpret_cast<decltype(name)>(library_.symbol(#name));
#define OPTIONAL(name, ...) \
  if (library_.has(#name)) name = reinterpret_cast<decltype(name)>(library_.symbol(#name));
#include "plugins/nvidia/nccl_symbols.inc"
#undef OPTIONAL
#undef SYMBOL
}

const Nccl* Nccl::find(const Host& host, const Driver& driver, std::string* out_reason) {
  static auto& mutex = *new std::mutex;
  static auto& opened = *new std::map<std::string, std::unique_ptr<Nccl>>;
  const std::lock_guard lock(mutex);
  const std::string named(host.get_config("FLAGOS_NVIDIA_NCCL"));
  if (named == "none") {
    *out_reason = "FLAGOS_NVIDIA_NCCL is 'none'";
    return nullptr;
  }
  const std::string path = !named.empty() ? named : driver.has_nccl ? driver.path : usual_library;
  std::unique_ptr<Nccl>& nccl = opened[path];
  if (nccl != nullptr) return nccl.get();
  std::string why;
  const flagos_status_t status = guard([&] { nccl.reset(new Nccl(path)); },
                                       [&](flagos_status_t, const char* text) { why = text; });
  if (nccl != nullptr) return nccl.get();
  if (!named.empty())
    throw_error(FLAGOS_STATUS_NOT_FOUND,
                "FLAGOS_NVIDIA_NCCL names '{}', which is no NCCL that can be used: {}", named, why);
  *out_reason = status == FLAGOS_STATUS_UNSUPPORTED
                    ? why
                    : fmt::format(
                          "no {} was found; install NCCL (on Debian libnccl2, in Python "
                          "nvidia-nccl), or name it in FLAGOS_NVIDIA_NCCL",
                          usual_library);
  return nullptr;
}

std::string Nccl::text_of(ncclResult_t result, ncclComm_t communicator) const {
  const char* const name = ncclGetErrorString(result);
  const char* const last = ncclGetLastError(communicator);
  const bool has_last = last != nullptr && *last != '\0';
  return fmt::format("{} ({}){}{}", name != nullptr ? name : "unknown", result,
                     has_last ? ": " : "", has_last ? last : "");
}

std::string Nccl::version_text() const {
  const int major_unit = version_ < 10000 ? 1000 : 10000;  // until 2.8, and from 2.9 on
  return fmt::format("{}.{}.{}", version_ / major_unit, version_ % major_unit / 100,
                     version_ % 100);
}

}  // namespace flagos::nvidia
