#include "plugins/nvidia/nvrtc.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <sstream>

#include "base/guard.hpp"
#include "plugins/nvidia/driver.hpp"

namespace flagos::nvidia {
namespace {

// Newest first; a driver takes the code of its own major version and of older ones.
struct Known {
  const char* name;
  int major;
};
constexpr Known known_libraries[] = {
    {"libnvrtc.so.13", 13}, {"libnvrtc.so.12", 12}, {"libnvrtc.so.11.2", 11}};

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

}  // namespace

Nvrtc::Nvrtc(const std::string& path) : library_(path) {
#define SYMBOL(name, ...) name = reinterpret_cast<decltype(name)>(library_.symbol(#name));
#include "plugins/nvidia/nvrtc_symbols.inc"
#undef SYMBOL
  nvrtcVersion(&major_, &minor_);
  int count = 0;
  if (nvrtcGetNumSupportedArchs(&count) == NVRTC_SUCCESS && count > 0) {
    architectures_.resize(static_cast<std::size_t>(count));
    nvrtcGetSupportedArchs(architectures_.data());
  }
}

const Nvrtc* Nvrtc::find(const Host& host, const Driver& driver, std::string* out_reason) {
  static auto& mutex = *new std::mutex;
  static auto& opened = *new std::map<std::string, std::unique_ptr<Nvrtc>>;
  const std::lock_guard lock(mutex);
  const auto open = [&](const std::string& path) -> const Nvrtc* {
    std::unique_ptr<Nvrtc>& nvrtc = opened[path];
    if (!nvrtc) nvrtc.reset(new Nvrtc(path));
    return nvrtc.get();
  };
  const std::string named(host.get_config("FLAGOS_NVIDIA_NVRTC"));
  if (named == "none") {
    *out_reason = "FLAGOS_NVIDIA_NVRTC is 'none'";
    return nullptr;
  }
  if (!named.empty()) {
    const Nvrtc* found = nullptr;
    guard([&] { found = open(named); }, [](flagos_status_t, const char*) {});
    if (found == nullptr)
      throw_error(FLAGOS_STATUS_NOT_FOUND,
                  "FLAGOS_NVIDIA_NVRTC names '{}', which is no NVRTC that can be opened", named);
    return found;
  }
  if (driver.has_nvrtc) return open(driver.path);
  for (const Known& known : known_libraries) {
    if (known.major > driver.version / 1000) continue;
    const Nvrtc* found = nullptr;
    guard([&] { found = open(known.name); }, [](flagos_status_t, const char*) {});
    if (found != nullptr) return found;
  }
  *out_reason = fmt::format(
      "no libnvrtc.so.{} or older was found; install the CUDA toolkit's NVRTC (on Debian libnvrtc, "
      "in Python "
      "nvidia-cuda-nvrtc), or name it in FLAGOS_NVIDIA_NVRTC",
      driver.version / 1000);
  return nullptr;
}

std::string Nvrtc::target_for(int capability, bool* out_is_real) const {
  *out_is_real =
      std::find(architectures_.begin(), architectures_.end(), capability) != architectures_.end();
  if (*out_is_real) return fmt::format("sm_{}", capability);
  int best = 0;
  for (const int known : architectures_)
    if (known <= capability) best = std::max(best, known);
  if (best == 0)
    throw_error(FLAGOS_STATUS_UNSUPPORTED,
                "NVRTC {} makes code for compute capability {}.{} and newer, this device has "
                "{}.{}: install an older NVRTC and "
                "name it in FLAGOS_NVIDIA_NVRTC",
                version(), architectures_.empty() ? 0 : architectures_.front() / 10,
                architectures_.empty() ? 0 : architectures_.front() % 10, capability / 10,
                capability % 10);
  return fmt::format("compute_{}", best);
}

Nvrtc::Result Nvrtc::compile(const std::string& source, int capability,
                             const std::string& options) const {
  bool is_real = false;
  std::vector<std::string> words = words_of(options);
  words.push_back("--gpu-architecture=" + target_for(capability, &is_real));
  std::vector<const char*> pointers;
  for (const std::string& word : words) pointers.push_back(word.c_str());
  nvrtcProgram program = nullptr;
  const auto fail = [&](nvrtcResult code, const char* call) {
    throw_error(code == NVRTC_ERROR_OUT_OF_MEMORY ? FLAGOS_STATUS_OUT_OF_HOST_MEMORY
                                                  : FLAGOS_STATUS_INTERNAL,
                "{}: {}", call, nvrtcGetErrorString(code));
  };
  if (const nvrtcResult code =
          nvrtcCreateProgram(&program, source.c_str(), "kernels.cu", 0, nullptr, nullptr);
      code != NVRTC_SUCCESS)
    fail(code, "nvrtcCreateProgram");
  struct Destroy {
    const Nvrtc& nvrtc;
    nvrtcProgram& program;
    ~Destroy() { nvrtc.nvrtcDestroyProgram(&program); }
  } destroy{*this, program};
  const nvrtcResult code =
      nvrtcCompileProgram(program, static_cast<int>(pointers.size()), pointers.data());
  Result result;
  std::size_t size = 0;
  if (nvrtcGetProgramLogSize(program, &size) == NVRTC_SUCCESS && size > 1) {
    result.log.resize(size);
    nvrtcGetProgramLog(program, result.log.data());
    result.log.resize(result.log.find('\0') == std::string::npos ? size : result.log.find('\0'));
  }
  if (code == NVRTC_ERROR_COMPILATION) return result;
  if (code == NVRTC_ERROR_INVALID_OPTION)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "NVRTC {} does not take the options '{}': {}",
                version(), options, result.log);
  if (code != NVRTC_SUCCESS) fail(code, "nvrtcCompileProgram");
  result.format = is_real ? "cubin" : "ptx";
  if (const nvrtcResult got = nvrtcGetPTXSize(program, &size); got != NVRTC_SUCCESS)
    fail(got, "nvrtcGetPTXSize");
  result.ptx.resize(size);
  if (const nvrtcResult got = nvrtcGetPTX(program, result.ptx.data()); got != NVRTC_SUCCESS)
    fail(got, "nvrtcGetPTX");
  if (!is_real) {
    result.image.assign(result.ptx.begin(), result.ptx.end());
    return result;
  }
  if (const nvrtcResult got = nvrtcGetCUBINSize(program, &size); got != NVRTC_SUCCESS)
    fail(got, "nvrtcGetCUBINSize");
  result.image.resize(size);
  if (const nvrtcResult got = nvrtcGetCUBIN(program, result.image.data()); got != NVRTC_SUCCESS)
    fail(got, "nvrtcGetCUBIN");
  return result;
}

}  // namespace flagos::nvidia
