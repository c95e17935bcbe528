#include "plugins/cpu/blas.hpp"

#include <dlfcn.h>

#include <cstring>
#include <string>
#include <string_view>

#include "base/thread.hpp"
#include "plugins/cpu/processor.hpp"

namespace flagos::cpu {
namespace {

constexpr const char* variable = "FLAGOS_CPU_BLAS";
constexpr const char* usual_library = "libopenblas.so.0";

bool is_open(const std::string& name) {
  void* const handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
  if (handle == nullptr) return false;
  dlclose(handle);
  return true;
}

// What OpenBLAS takes processors for that are younger than it is, on one with wide vectors.
bool is_fallback(std::string_view core) {
  const std::string isa = probe_isa();
  const bool is_wide = isa.starts_with("x86-64-v3") || isa.starts_with("x86-64-v4");
  return is_wide &&
         (core == "Prescott" || core == "Core2" || core == "Nehalem" || core == "Generic");
}

// Why the library cannot be used; "" when it can.
std::string complaint(const DynamicLibrary& library) {
  if (!library.has("openblas_get_config")) return "";  // another library of this interface
  const char* (*get_config)() = nullptr;
  library.take("openblas_get_config", get_config);
  if (std::strstr(get_config(), "USE64BITINT") != nullptr) return "its integers have 64 bits";
  int (*get_parallel)() = nullptr;
  library.take("openblas_get_parallel", get_parallel);
  if (get_parallel() == 0) return "it was built for programs of one thread";
  const char* (*get_corename)() = nullptr;
  library.take("openblas_get_corename", get_corename);
  if (is_fallback(get_corename()))
    return fmt::format(
        "it does not know this processor and takes it for a {}, whose code is slower than ours; "
        "OPENBLAS_CORETYPE can tell "
        "it a better one, such as Haswell or SkylakeX",
        get_corename());
  return "";
}

// One thread a call. Not where the application has opened it too: then its number of threads is the application's.
bool make_single(const DynamicLibrary& library, bool was_open) {
  if (!library.has("openblas_set_num_threads")) return false;
  void (*set_num_threads)(int) = nullptr;
  int (*get_num_threads)() = nullptr;
  library.take("openblas_set_num_threads", set_num_threads);
  library.take("openblas_get_num_threads", get_num_threads);
  if (!was_open) set_num_threads(1);
  return get_num_threads() == 1;
}

}  // namespace

bool Blas::is_wanted() const { return host_.get_config(variable) != "none"; }

const BlasFunctions* Blas::functions() {
  if (!looked_.load(std::memory_order_acquire)) {
    const std::lock_guard lock(mutex_);
    if (!looked_.load(std::memory_order_relaxed)) {
      if (is_wanted()) open();
      looked_.store(true, std::memory_order_release);
    }
  }
  return library_ != nullptr ? &functions_ : nullptr;
}

void Blas::open() {
  const std::string_view text = host_.get_config(variable);
  const bool named = !text.empty();
  const std::string name(named ? text : usual_library);
  try {
    const SignalsBlocked blocked;
    const bool was_open = is_open(name);
    auto library = std::make_unique<DynamicLibrary>(name);
    if (const std::string wrong = complaint(*library); !wrong.empty())
      throw Error(FLAGOS_STATUS_UNSUPPORTED, wrong);
    library->take("cblas_sgemm", functions_.sgemm);
    library->take("cblas_dgemm", functions_.dgemm);
    library->take("cblas_sgemv", functions_.sgemv);
    library->take("cblas_dgemv", functions_.dgemv);
    functions_.is_single = make_single(*library, was_open);
    library_ = std::move(library);
  } catch (const Error& error) {
    if (named)
      throw_error(FLAGOS_STATUS_NOT_FOUND, "{} names '{}', which cannot be used: {}", variable,
                  name, error.what());
    host_.log(FLAGOS_LOG_LEVEL_INFO,
              fmt::format("cpu: no {}, so products are portable kernels: {}", name, error.what()));
  }
}

}  // namespace flagos::cpu
