// NVRTC, which makes kernels of CUDA C++: opened at run time, where it is there.
#pragma once

#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "base/dynamic_library.hpp"
#include "base/plugin_host.hpp"
#include "plugins/nvidia/cuda.hpp"

namespace flagos::nvidia {

struct Driver;

class Nvrtc {
 public:
  // What is there: FLAGOS_NVIDIA_NVRTC, or the newest that the dynamic linker finds and that the driver takes code of. NULL,
  // with a sentence in `out_reason`, where there is none. Throws NOT_FOUND when the variable names it.
  static const Nvrtc* find(const Host& host, const Driver& driver, std::string* out_reason);

  struct Result {
    std::vector<char> image;  // empty when it failed
    std::string format;       // "cubin" or "ptx"
    std::string ptx;
    std::string log;
  };
  // For compute capability `capability` (80 is 8.0). Throws INVALID_ARGUMENT for options that NVRTC does not take, and
  // OUT_OF_HOST_MEMORY.
  Result compile(const std::string& source, int capability, const std::string& options) const;

  std::string version() const { return std::to_string(major_) + "." + std::to_string(minor_); }
  int major() const noexcept { return major_; }
  // PTX 8.4, which multiplies numbers of 8 bits, came with CUDA 12.4.
  bool knows_mma_f8() const noexcept { return major_ > 12 || (major_ == 12 && minor_ >= 4); }

 private:
  explicit Nvrtc(const std::string& path);
  // sm_XY where it is known, else the newest compute_XY below it.
  std::string target_for(int capability, bool* out_is_real) const;

  DynamicLibrary library_;
#define SYMBOL(name, ...) std::add_pointer_t<__VA_ARGS__> name = nullptr;
#include "plugins/nvidia/nvrtc_symbols.inc"
#undef SYMBOL
  int major_ = 0, minor_ = 0;
  std::vector<int> architectures_;
};

}  // namespace flagos::nvidia
