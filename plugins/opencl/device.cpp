#include "plugins/opencl/device.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/thread.hpp"
#include "plugins/opencl/handles.hpp"
#include "plugins/opencl/program.hpp"

namespace flagos::opencl {
namespace {

constexpr const char* usual_driver = "libOpenCL.so.1";

}  // namespace

Instance::Instance(const flagos_host_t& host) : host_(host) {
  check_memory_word(host_.get_config("FLAGOS_OPENCL_MEMORY"));
  const SignalsBlocked blocked;
  driver_ = open_driver();
  if (driver_ != nullptr) devices_ = filter(discover(*driver_, host_), host_);
  accounts_ = std::make_unique<MemoryAccount[]>(devices_.size());
  for (std::size_t i = 0; i < devices_.size(); ++i)
    accounts_[i].total_bytes = devices_[i].info.memory_bytes;
}

const Driver* Instance::open_driver() {
  const std::string named(host_.get_config("FLAGOS_OPENCL_DRIVER"));
  const Driver* driver = nullptr;
  guard([&] { driver = &Driver::open(named.empty() ? usual_driver : named); },
        [&](flagos_status_t status, const char* text) {
          if (!named.empty()) return;
          host_.log(FLAGOS_LOG_LEVEL_INFO,
                    fmt::format("no OpenCL device: the loader {} is missing ({:#x}: {}); install "
                                "one, on Debian ocl-icd-libopencl1, and a driver such as "
                                "pocl-opencl-icd",
                                usual_driver, static_cast<std::uint32_t>(status), text));
        });
  if (driver == nullptr && !named.empty())
    throw_error(FLAGOS_STATUS_NOT_FOUND,
                "FLAGOS_OPENCL_DRIVER names '{}', which is no OpenCL library that can be opened",
                named);
  return driver;
}

Device::Device(Instance& instance, std::uint32_t index, cl_context given)
    : instance_(instance), description_(instance.devices()[index]) {
  const MemoryMode mode =
      choose_memory_mode(host().get_config("FLAGOS_OPENCL_MEMORY"), description_);
  context_ = given != nullptr ? take_context(given) : make_context();
  cl_int code = CL_SUCCESS;
  try {
    queue_ = driver().clCreateCommandQueue(context_, id(), CL_QUEUE_PROFILING_ENABLE, &code);
    Driver::check(code, "clCreateCommandQueue", "device '{}'", description_.info.name);
    memory_ = std::make_unique<Memory>(driver(), context_, queue_, description_, mode,
                                       instance.account(index));
    programs_ = std::make_unique<ProgramCache>();
  } catch (...) {
    if (queue_ != nullptr) driver().clReleaseCommandQueue(queue_);
    driver().clReleaseContext(context_);
    throw;
  }
}

cl_context Device::make_context() const {
  const auto properties = std::to_array<cl_context_properties>(
      {CL_CONTEXT_PLATFORM, reinterpret_cast<cl_context_properties>(description_.platform), 0});
  cl_int code = CL_SUCCESS;
  cl_context context =
      driver().clCreateContext(properties.data(), 1, &description_.id, nullptr, nullptr, &code);
  Driver::check(code, "clCreateContext", "device '{}'", description_.info.name);
  return context;
}

cl_context Device::take_context(cl_context given) const {
  std::size_t bytes = 0;
  Driver::check(driver().clGetContextInfo(given, CL_CONTEXT_DEVICES, 0, nullptr, &bytes),
                "clGetContextInfo");
  std::vector<cl_device_id> ids(bytes / sizeof(cl_device_id));
  Driver::check(driver().clGetContextInfo(given, CL_CONTEXT_DEVICES, bytes, ids.data(), nullptr),
                "clGetContextInfo");
  if (std::find(ids.begin(), ids.end(), id()) == ids.end())
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "the cl_context has {} devices, and '{}' is none of them", ids.size(),
                description_.info.name);
  if (ids.size() != 1)
    throw_error(FLAGOS_STATUS_UNSUPPORTED,
                "a cl_context of {} devices; one of '{}' alone can be wrapped", ids.size(),
                description_.info.name);
  Driver::check(driver().clRetainContext(given), "clRetainContext");
  return given;
}

Device::~Device() {
  programs_.reset();
  memory_.reset();
  driver().clReleaseCommandQueue(queue_);
  driver().clReleaseContext(context_);
}

void Device::report_lost(const char* text) noexcept {
  if (!lost_.exchange(true)) host().report_lost(to_c(this), text);
}

// The driver's own timer where it has one; else the end of a marker, which was just before.
void Device::get_clock(std::uint64_t* out_device_ns, std::uint64_t* out_host_ns) {
  cl_ulong device_ns = 0, unused = 0;
  if (driver().clGetDeviceAndHostTimer != nullptr &&
      driver().clGetDeviceAndHostTimer(id(), &device_ns, &unused) == CL_SUCCESS) {
    *out_device_ns = device_ns;
    *out_host_ns = host().now_ns();
    return;
  }
  cl_event marker = nullptr;
  Driver::check(driver().clEnqueueMarkerWithWaitList(queue_, 0, nullptr, &marker),
                "clEnqueueMarkerWithWaitList");
  cl_int code = driver().clWaitForEvents(1, &marker);
  const std::uint64_t host_ns = host().now_ns();
  if (code == CL_SUCCESS)
    code = driver().clGetEventProfilingInfo(marker, CL_PROFILING_COMMAND_END, sizeof(device_ns),
                                            &device_ns, nullptr);
  driver().clReleaseEvent(marker);
  Driver::check(code, "clGetEventProfilingInfo");
  *out_device_ns = device_ns;
  *out_host_ns = host_ns;
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
  const MemoryAccount& account = from_c(device).memory().account();
  *out_total_bytes = account.total_bytes;
  *out_free_bytes = account.total_bytes - std::min(account.total_bytes, account.used_bytes.load());
  return FLAGOS_STATUS_OK;
}

flagos_status_t device_query_status(flagos_plugin_device_t* device) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    if (self.is_lost())
      throw_error(FLAGOS_STATUS_DEVICE_LOST, "device '{}' was lost", self.description().info.name);
  });
}

flagos_status_t profiling_enable(flagos_plugin_device_t* device, std::uint32_t enabled) noexcept {
  from_c(device).set_profiling(enabled != 0);
  return FLAGOS_STATUS_OK;
}

flagos_status_t profiling_get_clock(flagos_plugin_device_t* device, std::uint64_t* out_device_ns,
                                    std::uint64_t* out_host_ns) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] { self.get_clock(out_device_ns, out_host_ns); });
}

}  // namespace flagos::opencl
