#include "plugins/opencl/driver.hpp"

#include <map>
#include <memory>
#include <mutex>

#include "base/guard.hpp"

namespace flagos::opencl {
namespace {

struct CodeName {
  cl_int code;
  const char* name;
};

#define NAME(code) \
  { code, #code }
constexpr CodeName code_names[] = {NAME(CL_SUCCESS),
                                   NAME(CL_DEVICE_NOT_FOUND),
                                   NAME(CL_DEVICE_NOT_AVAILABLE),
                                   NAME(CL_COMPILER_NOT_AVAILABLE),
                                   NAME(CL_MEM_OBJECT_ALLOCATION_FAILURE),
                                   NAME(CL_OUT_OF_RESOURCES),
                                   NAME(CL_OUT_OF_HOST_MEMORY),
                                   NAME(CL_PROFILING_INFO_NOT_AVAILABLE),
                                   NAME(CL_MEM_COPY_OVERLAP),
                                   NAME(CL_IMAGE_FORMAT_MISMATCH),
                                   NAME(CL_IMAGE_FORMAT_NOT_SUPPORTED),
                                   NAME(CL_BUILD_PROGRAM_FAILURE),
                                   NAME(CL_MAP_FAILURE),
                                   NAME(CL_MISALIGNED_SUB_BUFFER_OFFSET),
                                   NAME(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST),
                                   NAME(CL_COMPILE_PROGRAM_FAILURE),
                                   NAME(CL_LINKER_NOT_AVAILABLE),
                                   NAME(CL_LINK_PROGRAM_FAILURE),
                                   NAME(CL_DEVICE_PARTITION_FAILED),
                                   NAME(CL_KERNEL_ARG_INFO_NOT_AVAILABLE),
                                   NAME(CL_INVALID_VALUE),
                                   NAME(CL_INVALID_DEVICE_TYPE),
                                   NAME(CL_INVALID_PLATFORM),
                                   NAME(CL_INVALID_DEVICE),
                                   NAME(CL_INVALID_CONTEXT),
                                   NAME(CL_INVALID_QUEUE_PROPERTIES),
                                   NAME(CL_INVALID_COMMAND_QUEUE),
                                   NAME(CL_INVALID_HOST_PTR),
                                   NAME(CL_INVALID_MEM_OBJECT),
                                   NAME(CL_INVALID_BINARY),
                                   NAME(CL_INVALID_BUILD_OPTIONS),
                                   NAME(CL_INVALID_PROGRAM),
                                   NAME(CL_INVALID_PROGRAM_EXECUTABLE),
                                   NAME(CL_INVALID_KERNEL_NAME),
                                   NAME(CL_INVALID_KERNEL_DEFINITION),
                                   NAME(CL_INVALID_KERNEL),
                                   NAME(CL_INVALID_ARG_INDEX),
                                   NAME(CL_INVALID_ARG_VALUE),
                                   NAME(CL_INVALID_ARG_SIZE),
                                   NAME(CL_INVALID_KERNEL_ARGS),
                                   NAME(CL_INVALID_WORK_DIMENSION),
                                   NAME(CL_INVALID_WORK_GROUP_SIZE),
                                   NAME(CL_INVALID_WORK_ITEM_SIZE),
                                   NAME(CL_INVALID_GLOBAL_OFFSET),
                                   NAME(CL_INVALID_EVENT_WAIT_LIST),
                                   NAME(CL_INVALID_EVENT),
                                   NAME(CL_INVALID_OPERATION),
                                   NAME(CL_INVALID_BUFFER_SIZE),
                                   NAME(CL_INVALID_GLOBAL_WORK_SIZE),
                                   NAME(CL_INVALID_PROPERTY),
                                   NAME(CL_INVALID_COMPILER_OPTIONS),
                                   NAME(CL_INVALID_LINKER_OPTIONS),
                                   NAME(CL_INVALID_DEVICE_PARTITION_COUNT),
                                   NAME(CL_PLATFORM_NOT_FOUND_KHR)};
#undef NAME

}  // namespace

std::string code_text(cl_int code) {
  for (const CodeName& known : code_names)
    if (known.code == code) return fmt::format("{} ({})", known.name, code);
  return fmt::format("code {}", code);
}

flagos_status_t status_of(cl_int code) noexcept {
  switch (code) {
    case CL_DEVICE_NOT_AVAILABLE:
      return FLAGOS_STATUS_DEVICE_LOST;
    case CL_MEM_OBJECT_ALLOCATION_FAILURE:
      return FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY;
    case CL_OUT_OF_HOST_MEMORY:
      return FLAGOS_STATUS_OUT_OF_HOST_MEMORY;
    case CL_OUT_OF_RESOURCES:
      return FLAGOS_STATUS_OUT_OF_RESOURCES;
    case CL_BUILD_PROGRAM_FAILURE:
    case CL_COMPILE_PROGRAM_FAILURE:
    case CL_LINK_PROGRAM_FAILURE:
      return FLAGOS_STATUS_COMPILE_FAILED;
    case CL_INVALID_BINARY:
      return FLAGOS_STATUS_INVALID_IMAGE;
    case CL_COMPILER_NOT_AVAILABLE:
    case CL_LINKER_NOT_AVAILABLE:
      return FLAGOS_STATUS_UNSUPPORTED;
    case CL_INVALID_WORK_GROUP_SIZE:
    case CL_INVALID_WORK_ITEM_SIZE:
    case CL_INVALID_GLOBAL_WORK_SIZE:
    case CL_INVALID_BUFFER_SIZE:
    case CL_INVALID_BUILD_OPTIONS:
    case CL_INVALID_COMPILER_OPTIONS:
      return FLAGOS_STATUS_INVALID_ARGUMENT;
    default:
      return FLAGOS_STATUS_INTERNAL;
  }
}

void Driver::fail(cl_int code, const char* call, const std::string& asked) {
  throw_error(status_of(code), "{}: {}{}{}", call, code_text(code), asked.empty() ? "" : ": ",
              asked);
}

Driver::Driver(const std::string& path) : library_(path) {
#define SYMBOL(name) name = reinterpret_cast<decltype(name)>(library_.symbol(#name));
#define OPTIONAL(name) \
  guard([&] { name = reinterpret_cast<decltype(name)>(library_.symbol(#name)); }, ignore);
  const auto ignore = [](flagos_status_t, const char*) {};
#include "plugins/opencl/driver_symbols.inc"
#undef OPTIONAL
#undef SYMBOL
  guard([&] { is_fake = library_.symbol("flagos_opencl_fake_control") != nullptr; }, ignore);
}

const Driver& Driver::open(const std::string& path) {
  static auto& mutex = *new std::mutex;
  static auto& drivers = *new std::map<std::string, std::unique_ptr<Driver>>;
  const std::lock_guard lock(mutex);
  std::unique_ptr<Driver>& driver = drivers[path];
  if (!driver) driver.reset(new Driver(path));
  return *driver;
}

std::string Driver::platform_text(cl_platform_id platform, cl_platform_info what) const {
  std::size_t size = 0;
  if (clGetPlatformInfo(platform, what, 0, nullptr, &size) != CL_SUCCESS || size == 0) return {};
  std::string text(size, '\0');
  if (clGetPlatformInfo(platform, what, size, text.data(), nullptr) != CL_SUCCESS) return {};
  return text.c_str();
}

std::string Driver::device_text(cl_device_id device, cl_device_info what) const {
  std::size_t size = 0;
  if (clGetDeviceInfo(device, what, 0, nullptr, &size) != CL_SUCCESS || size == 0) return {};
  std::string text(size, '\0');
  if (clGetDeviceInfo(device, what, size, text.data(), nullptr) != CL_SUCCESS) return {};
  return text.c_str();
}

}  // namespace flagos::opencl
