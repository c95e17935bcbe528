#include "plugins/nvidia/device.hpp"

#include <algorithm>
#include <cstring>

#include "base/thread.hpp"
#include "plugins/nvidia/clock.hpp"
#include "plugins/nvidia/cublaslt.hpp"
#include "plugins/nvidia/handles.hpp"
#include "plugins/nvidia/nccl.hpp"
#include "plugins/nvidia/nvrtc.hpp"
#include "plugins/nvidia/product.hpp"

namespace flagos::nvidia {
namespace {

constexpr const char* usual_driver = "libcuda.so.1";

}  // namespace

Instance::Instance(const flagos_host_t& host) : host_(host) {
  const SignalsBlocked blocked;
  driver_ = open_driver();
  if (driver_ == nullptr) return;
  devices_ = discover(*driver_, host_);
  std::string reason;
  nvrtc_ = Nvrtc::find(host_, *driver_, &reason);
  if (nvrtc_ == nullptr && !devices_.empty())
    host_.log(FLAGOS_LOG_LEVEL_WARNING,
              fmt::format("NVIDIA devices take no CUDA C++ and no portable kernels: {}", reason));
  nccl_ = Nccl::find(host_, *driver_, &reason);
  if (nccl_ == nullptr && !devices_.empty())
    host_.log(FLAGOS_LOG_LEVEL_INFO,
              fmt::format("NVIDIA devices have no native collectives: {}", reason));
  cublaslt_ = CublasLt::find(host_, *driver_, &reason);
  if (cublaslt_ == nullptr && !devices_.empty())
    host_.log(FLAGOS_LOG_LEVEL_INFO,
              fmt::format("NVIDIA devices multiply by portable kernels: {}", reason));
}

const Driver* Instance::open_driver() {
  const std::string named(host_.get_config("FLAGOS_NVIDIA_DRIVER"));
  const std::string library = named.empty() ? usual_driver : named;
  const Driver* driver = nullptr;
  flagos_status_t failed = FLAGOS_STATUS_OK;
  std::string why;
  guard([&] { driver = &Driver::open(library); },
        [&](flagos_status_t status, const char* text) {
          failed = status;
          why = text;
        });
  if (driver != nullptr && driver->trouble.empty()) return driver;
  if (driver == nullptr && !named.empty())
    throw_error(FLAGOS_STATUS_NOT_FOUND,
                "FLAGOS_NVIDIA_DRIVER names '{}', which is no CUDA driver that can be opened: {}",
                named, why);
  if (driver != nullptr) {
    host_.log(FLAGOS_LOG_LEVEL_WARNING, fmt::format("no NVIDIA device: {}", driver->trouble));
  } else if (failed == FLAGOS_STATUS_UNSUPPORTED) {
    host_.log(FLAGOS_LOG_LEVEL_WARNING, fmt::format("no NVIDIA device: {}", why));
  } else {
    host_.log(FLAGOS_LOG_LEVEL_INFO,
              fmt::format(
                  "no NVIDIA device: the driver {} is missing ({}); install the driver of the card",
                  library, why));
  }
  return nullptr;
}

Device::Device(Instance& instance, std::uint32_t index, CUcontext given, bool owned)
    : instance_(instance),
      description_(instance.devices()[index]),
      context_(given),
      is_primary_(given == nullptr),
      is_owned_(owned) {
  if (is_primary_)
    driver().check(driver().cuDevicePrimaryCtxRetain(&context_, id()), "cuDevicePrimaryCtxRetain",
                   "device '{}'", description_.info.name);
  try {
    const Current current(driver(), context_);
    driver().check(driver().cuStreamCreateWithPriority(&service_stream_, CU_STREAM_NON_BLOCKING, 0),
                   "cuStreamCreateWithPriority", "device '{}'", description_.info.name);
    events_ = std::make_unique<EventPool>(driver(), context_);
    memory_ = std::make_unique<Memory>(*this);
    clock_ = std::make_unique<Clock>(*this);
    if (instance.cublaslt() != nullptr)
      products_ = std::make_unique<Products>(*this, *instance.cublaslt());
    if (instance.nvrtc() != nullptr)
      compiler_identity = fmt::format("nvrtc {} for sm_{}{}", instance.nvrtc()->version(),
                                      description_.capability, driver().is_fake ? ", fake" : "");
  } catch (...) {
    if (is_primary_) close();
    throw;
  }
}

void Device::close() noexcept {
  products_.reset();
  clock_.reset();
  memory_.reset();
  events_.reset();
  if (service_stream_ != nullptr) driver().cuStreamDestroy_v2(service_stream_);
  if (is_primary_) driver().cuDevicePrimaryCtxRelease_v2(id());
  if (is_owned_) driver().cuCtxDestroy_v2(context_);
}

Device::~Device() {
  CUcontext before = nullptr;
  driver().cuCtxGetCurrent(&before);
  driver().cuCtxSetCurrent(context_);
  CUcontext const own = context_;
  close();
  // A context that is gone must not stay current.
  driver().cuCtxSetCurrent(before != own || !(is_primary_ || is_owned_) ? before : nullptr);
}

void Device::add_stream(CUstream stream) {
  const std::lock_guard lock(streams_mutex_);
  streams_.insert(stream);
}

void Device::remove_stream(CUstream stream) noexcept {
  const std::lock_guard lock(streams_mutex_);
  streams_.erase(stream);
}

void Device::set_profiling(bool enabled) {
  if (enabled) clock_->start();
  profiling_.store(enabled);
}

void Device::fail(CUresult code, const char* call) {
  if (is_sticky(code)) report_lost(code, call);
  driver().fail(code, call, {});
}

void Device::report_lost(CUresult code, const char* call) noexcept {
  if (lost_.exchange(true)) return;
  char text[300];
  const char* name = nullptr;
  driver().cuGetErrorName(code, &name);
  const auto end = fmt::format_to_n(
      text, sizeof(text) - 1,
      "device '{:.100}' was lost: {} said {} ({}): a kernel faulted or the card failed; close "
      "all that is open on it and open it again",
      description_.info.name, call, name != nullptr ? name : "an unknown error", code);
  *end.out = '\0';
  host().report_lost(to_c(this), text);
}

void instance_close(flagos_plugin_instance_t* instance) noexcept { delete &from_c(instance); }

flagos_status_t device_get_count(flagos_plugin_instance_t* instance,
                                 std::uint32_t* out_count) noexcept {
  *out_count = static_cast<std::uint32_t>(from_c(instance).devices().size());
  return FLAGOS_STATUS_OK;
}

flagos_status_t device_get_info(flagos_plugin_instance_t* instance, std::uint32_t index,
                                flagos_device_info_t* out_info) noexcept {
  // Core may know a shorter or longer struct than we do.
  const std::uint32_t room = out_info->struct_size;
  flagos_device_info_t info = from_c(instance).devices()[index].info;
  info.struct_size = room;
  std::memcpy(out_info, &info, std::min<std::size_t>(room, sizeof(info)));
  return FLAGOS_STATUS_OK;
}

flagos_status_t device_open(flagos_plugin_instance_t* instance, std::uint32_t index,
                            flagos_plugin_device_t** out_device) noexcept {
  Instance& self = from_c(instance);
  return entry(self.host(), [&] {
    const SignalsBlocked blocked;
    *out_device = to_c(std::make_unique<Device>(self, index).release());
  });
}

void device_close(flagos_plugin_device_t* device) noexcept { delete &from_c(device); }

flagos_status_t device_query_memory(flagos_plugin_device_t* device, std::uint64_t* out_free_bytes,
                                    std::uint64_t* out_total_bytes) noexcept {
  Device& self = from_c(device);
  return device_entry(self, [&] {
    *out_total_bytes = self.description().info.memory_bytes;
    *out_free_bytes = std::min(self.memory().free_bytes(), *out_total_bytes);
  });
}

// Asks the driver: a kernel may have faulted since anybody called.
flagos_status_t device_query_status(flagos_plugin_device_t* device) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    const CUresult code = self.driver().cuStreamQuery(self.service_stream());
    if (code != CUDA_SUCCESS && code != CUDA_ERROR_NOT_READY) self.fail(code, "cuStreamQuery");
  });
}

flagos_status_t profiling_enable(flagos_plugin_device_t* device, std::uint32_t enabled) noexcept {
  Device& self = from_c(device);
  return device_entry(self, [&] { self.set_profiling(enabled != 0); });
}

flagos_status_t profiling_get_clock(flagos_plugin_device_t* device, std::uint64_t* out_device_ns,
                                    std::uint64_t* out_host_ns) noexcept {
  Device& self = from_c(device);
  return device_entry(self, [&] { self.clock().get(out_device_ns, out_host_ns); });
}

}  // namespace flagos::nvidia
