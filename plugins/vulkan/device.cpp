#include "plugins/vulkan/device.hpp"

#include <algorithm>
#include <cstring>

#include "base/device_filter.hpp"
#include "plugins/vulkan/handles.hpp"
#include "plugins/vulkan/semaphore_watch.hpp"
#include "plugins/vulkan/stream.hpp"
#include "plugins/vulkan/warm_up.hpp"

namespace flagos::vulkan {
namespace {

constexpr const char* default_loader = "libvulkan.so.1";
constexpr const char* how_to_get_a_driver =
    "install one (Debian: mesa-vulkan-drivers, or the vendor's), and check that this user may use "
    "the device files";

// All devices of the process that are open. Neither needs a destructor.
constinit std::mutex open_mutex;
constinit Device* first_open = nullptr;

// A software driver runs kernels on threads of its own, and crashes when the process exits meanwhile and
// the compiler under it is taken apart. Exit handlers run last in, first out: this one is made behind the
// driver's own, and behind what its compiler makes at its first kernel (see warm_up), so it runs first.
constexpr std::uint64_t pause_ns = 2'000'000'000;
struct ExitPause {
  ExitPause() = default;
  ExitPause(const ExitPause&) = delete;
  ExitPause& operator=(const ExitPause&) = delete;
  ~ExitPause() { Device::pause_at_exit(); }
};

}  // namespace

Instance::Instance(const flagos_host_t& host) : host_(host) {
  try {
    open_loader();
    if (handle_ != VK_NULL_HANDLE) find_devices();
  } catch (...) {
    if (handle_ != VK_NULL_HANDLE) functions_.vkDestroyInstance(handle_, nullptr);
    throw;
  }
}

Instance::~Instance() {
  devices_.clear();
  if (handle_ != VK_NULL_HANDLE) functions_.vkDestroyInstance(handle_, nullptr);
}

// A machine without loader or driver has no devices, and that is all: a line in the log says what is
// missing.
void Instance::open_loader() {
  const std::string named(host_.get_config("FLAGOS_VULKAN_DRIVER"));
  const std::string path = named.empty() ? default_loader : named;
  const Loader* loader = nullptr;
  try {
    loader = &Loader::open(path);
  } catch (const Error& error) {
    host_.log(FLAGOS_LOG_LEVEL_INFO,
              fmt::format("vulkan: no devices: {}: install the loader (Debian: libvulkan1)",
                          error.what()));
    return;
  }
  is_fake_ = loader->is_fake;
  loader_ = loader;
  std::uint32_t version = VK_API_VERSION_1_0;
  check(loader->vkEnumerateInstanceVersion(&version), "vkEnumerateInstanceVersion");
  VkApplicationInfo application{};
  application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
  application.pApplicationName = "flagos";
  application.pEngineName = "flagos";
  application.apiVersion = std::min(version, VK_API_VERSION_1_3);
  VkInstanceCreateInfo create{};
  create.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
  create.pApplicationInfo = &application;
  VkInstance instance = VK_NULL_HANDLE;
  const VkResult result = loader->vkCreateInstance(&create, nullptr, &instance);
  if (result == VK_ERROR_INCOMPATIBLE_DRIVER) {
    host_.log(FLAGOS_LOG_LEVEL_INFO,
              fmt::format("vulkan: no devices: the loader '{}' finds no driver: {}", path,
                          how_to_get_a_driver));
    return;
  }
  check(result, "vkCreateInstance");
  handle_ = instance;
  functions_.vkDestroyInstance = reinterpret_cast<PFN_vkDestroyInstance>(
      loader->vkGetInstanceProcAddr(instance, "vkDestroyInstance"));
  functions_ = InstanceFunctions(*loader, instance);
}

void Instance::find_devices() {
  std::uint32_t count = 0;
  check(functions_.vkEnumeratePhysicalDevices(handle_, &count, nullptr),
        "vkEnumeratePhysicalDevices");
  std::vector<VkPhysicalDevice> handles(count);
  check(functions_.vkEnumeratePhysicalDevices(handle_, &count, handles.data()),
        "vkEnumeratePhysicalDevices");
  std::vector<std::unique_ptr<PhysicalDevice>> found;
  for (std::uint32_t i = 0; i < count; ++i) {
    auto device = std::make_unique<PhysicalDevice>(functions_, handles[i]);
    const std::string reason = device->unusable_reason();
    if (reason.empty())
      found.push_back(std::move(device));
    else
      host_.log(FLAGOS_LOG_LEVEL_INFO,
                fmt::format("vulkan: device '{}' is not used: {}", device->name(), reason));
  }
  find_groups(found);
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return std::tuple(a->driver(), a->bus_id(), a->uuid()) <
           std::tuple(b->driver(), b->bus_id(), b->uuid());
  });
  if (found.empty())
    host_.log(
        FLAGOS_LOG_LEVEL_INFO,
        fmt::format("vulkan: no devices: no driver that can be used: {}", how_to_get_a_driver));

  std::vector<FilterDevice> named;
  for (const auto& device : found) {
    named.push_back({device->name(), {}});
    const auto uuid = device->uuid();
    std::copy(uuid.begin(), uuid.end(), named.back().uuid);
  }
  const DeviceSelection selection =
      select_devices("FLAGOS_VULKAN_DEVICES", host_.get_config("FLAGOS_VULKAN_DEVICES"), named);
  for (const std::string& warning : selection.warnings)
    host_.log(FLAGOS_LOG_LEVEL_WARNING, "vulkan: " + warning);
  for (const std::size_t index : selection.indices) devices_.push_back(std::move(found[index]));
  used_bytes_ = std::make_unique<std::atomic<std::uint64_t>[]>(devices_.size());
}

// Which of the devices the driver takes for one, by a link of its own.
void Instance::find_groups(std::vector<std::unique_ptr<PhysicalDevice>>& devices) const {
  std::uint32_t count = 0;
  check(functions_.vkEnumeratePhysicalDeviceGroups(handle_, &count, nullptr),
        "vkEnumeratePhysicalDeviceGroups");
  VkPhysicalDeviceGroupProperties empty{};
  empty.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_GROUP_PROPERTIES;
  std::vector<VkPhysicalDeviceGroupProperties> groups(count, empty);
  check(functions_.vkEnumeratePhysicalDeviceGroups(handle_, &count, groups.data()),
        "vkEnumeratePhysicalDeviceGroups");
  for (std::uint32_t i = 0; i < count; ++i)
    for (const auto& device : devices)
      if (std::count(groups[i].physicalDevices,
                     groups[i].physicalDevices + groups[i].physicalDeviceCount,
                     device->handle()) != 0)
        device->group = i;
}

bool Instance::shares_memory() const noexcept {
  return std::all_of(devices_.begin(), devices_.end(),
                     [](const auto& device) { return device->shares_memory(); });
}

void Instance::describe(std::uint32_t index, flagos_device_info_t& info) const {
  devices_[index]->describe(info);
  if (is_fake_) info.capabilities |= FLAGOS_DEVICE_CAPABILITY_FAKE;
}

Lock::~Lock() {
  if (lock_.owns_lock()) {
    Stream::run_ready(device_.instance());
    lock_.unlock();
  }
  device_.deliver();
}

Device::Device(Instance& instance, std::uint32_t index, const Native* native)
    : instance_(instance), physical_(instance.physical(index)) {
  needs_staging_ = !physical_.memory_types().is_device_mapped ||
                   host().get_config("FLAGOS_VULKAN_STAGING") == "1";
  std::uint32_t queue_count = physical_.queue_count();
  if (native == nullptr) {
    create_device();
  } else {
    adopt_device(*native);
    queue_count = std::min(queue_count, native->queue_count);
  }
  try {
    heap_ = std::make_unique<Heap>(*this, instance.used_bytes(index));
    pipelines_ = std::make_unique<PipelineCache>(*this);
    for (std::uint32_t i = 0; i < queue_count; ++i)
      queues_.push_back(std::make_unique<Queue>(*this, i));
    pool_ = std::make_unique<HostPool>(*this);
    semaphore_watch_ = std::make_unique<SemaphoreWatch>(*this);
  } catch (...) {
    destroy();
    throw;
  }
  note_open();
  if (native != nullptr) is_borrowed_ = !native->own;
}

Device::~Device() {
  note_closed();
  destroy();
}

void Device::note_open() noexcept {
  static const ExitPause pause = [this] {
    if (physical_.is_software()) warm_up(*this);
    return ExitPause();
  }();
  const std::lock_guard lock(open_mutex);
  next_open_ = first_open;
  first_open = this;
}

void Device::note_closed() noexcept {
  const std::lock_guard lock(open_mutex);
  Device** place = &first_open;
  while (*place != this) place = &(*place)->next_open_;
  *place = next_open_;
}

void Device::pause_at_exit() noexcept {
  const Deadline deadline(pause_ns);
  const std::lock_guard lock(open_mutex);
  for (Device* device = first_open; device != nullptr; device = device->next_open_) {
    for (const auto& queue : device->queues_) {
      std::unique_lock guarded(device->instance_.mutex);
      const std::uint64_t value = queue->submitted();
      guarded.unlock();
      queue->wait_for(value, deadline.left_ns());
    }
  }
}

void Device::destroy() noexcept {
  internal_.reset_under(*this);
  pool_.reset();
  semaphore_watch_.reset();
  // Also of a lost one: only the driver knows what still runs. A borrowed one may be in use elsewhere.
  if (!is_borrowed_) vk_.vkDeviceWaitIdle(handle_);
  for (const auto& queue : queues_)
    if (is_borrowed_) queue->wait_for(queue->submitted(), UINT64_MAX);
  queues_.clear();
  pipelines_.reset();
  heap_.reset();
  if (!is_borrowed_) vk_.vkDestroyDevice(handle_, nullptr);
}

// Its owner has made it with whatever instance of the same loader.
void Device::adopt_device(const Native& native) {
  const InstanceFunctions functions(instance_.loader(), native.instance);
  vk_ = DeviceFunctions(functions, native.device);
  handle_ = native.device;
  driver_instance_ = native.instance;
  is_borrowed_ = true;  // until it is open
}

Queue* Device::find_queue(VkQueue handle) const noexcept {
  const auto found = std::find_if(queues_.begin(), queues_.end(),
                                  [&](const auto& queue) { return queue->handle() == handle; });
  return found == queues_.end() ? nullptr : found->get();
}

// Everything that a kernel may use is switched on; what costs is not.
void Device::create_device() {
  Features features;
  features.link(physical_.extensions());
  const Features& found = physical_.features();
  const auto take = [](auto& target, const auto& source) {
    void* next = target.pNext;
    target = source;
    target.pNext = next;
  };
  take(features.base, found.base);
  take(features.vulkan11, found.vulkan11);
  take(features.vulkan12, found.vulkan12);
  take(features.maintenance4, found.maintenance4);
  take(features.clock, found.clock);
  take(features.atomic_float, found.atomic_float);
  features.base.features.robustBufferAccess = VK_FALSE;
  features.vulkan11.protectedMemory = VK_FALSE;
  features.vulkan12.bufferDeviceAddressCaptureReplay = VK_FALSE;
  features.vulkan12.bufferDeviceAddressMultiDevice = VK_FALSE;

  std::vector<const char*> extensions;
  for (const char* name :
       {VK_KHR_MAINTENANCE_4_EXTENSION_NAME, VK_KHR_SHADER_CLOCK_EXTENSION_NAME,
        VK_EXT_SHADER_ATOMIC_FLOAT_EXTENSION_NAME, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME,
        VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME})
    if (std::find(physical_.extensions().begin(), physical_.extensions().end(), name) !=
        physical_.extensions().end())
      extensions.push_back(name);
  const std::vector<float> priorities(physical_.queue_count(), 1.0f);
  VkDeviceQueueCreateInfo queues{};
  queues.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
  queues.queueFamilyIndex = physical_.queue_family();
  queues.queueCount = physical_.queue_count();
  queues.pQueuePriorities = priorities.data();
  VkDeviceCreateInfo create{};
  create.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
  create.pNext = &features.base;
  create.queueCreateInfoCount = 1;
  create.pQueueCreateInfos = &queues;
  create.enabledExtensionCount = static_cast<std::uint32_t>(extensions.size());
  create.ppEnabledExtensionNames = extensions.data();
  const InstanceFunctions& functions = instance_.functions();
  const VkResult result = functions.vkCreateDevice(physical_.handle(), &create, nullptr, &handle_);
  // What lavapipe says when it gets no thread.
  if (result == VK_ERROR_UNKNOWN)
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "vkCreateDevice of {}: {} ({})", physical_.name(),
                result_name(result), static_cast<int>(result));
  check(result, "vkCreateDevice of {}", physical_.name());
  driver_instance_ = instance_.handle();
  try {
    vk_ = DeviceFunctions(functions, handle_);
  } catch (...) {
    const auto destroy = reinterpret_cast<PFN_vkDestroyDevice>(
        functions.vkGetDeviceProcAddr(handle_, "vkDestroyDevice"));
    if (destroy != nullptr) destroy(handle_, nullptr);
    throw;
  }
}

// The one with the fewest streams.
Queue& Device::choose_queue() noexcept {
  return **std::min_element(queues_.begin(), queues_.end(), [](const auto& a, const auto& b) {
    return a->stream_count < b->stream_count;
  });
}

void Device::remove(Stream& stream) noexcept { std::erase(streams_, &stream); }

void Device::lose(const Failure& failure) noexcept {
  if (lost_) return;
  lost_ = failure->status() == FLAGOS_STATUS_DEVICE_LOST
              ? failure
              : make_failure(FLAGOS_STATUS_DEVICE_LOST, failure->what());
  for (const auto& queue : queues_) queue->fail_all(lost_);
  for (Stream* stream : streams_) stream->lose(lost_);
  report_pending_.store(true);
}

void Device::deliver() noexcept {
  if (!report_pending_.load(std::memory_order_relaxed) || !report_pending_.exchange(false)) return;
  host().report_lost(to_c(this), lost_->what());
}

// With the lock held, which is also what streams of it need to end.
std::shared_ptr<Stream> Device::internal_stream() {
  Lock lock(*this);
  if (!internal_.stream) internal_.stream = std::make_shared<Stream>(*this);
  return internal_.stream;
}

// One of a lost device stays as it is.
void Device::mend(Stream& stream) noexcept {
  guard([&] { stream.reset(); }, [](flagos_status_t, const char*) {});
}

void Device::Internal::reset_under(Device& device) noexcept {
  if (!stream) return;
  Lock lock(device);
  stream.reset();
}

void Device::keep(const void* key, std::shared_ptr<const void> object) {
  const std::lock_guard lock(kept_mutex_);
  kept_[key] = std::move(object);
}

void Device::let_go(const void* key) noexcept {
  const std::lock_guard lock(kept_mutex_);
  kept_.erase(key);
}

// Streams may come and go meanwhile: only those that are there now count.
flagos_status_t Device::synchronize(std::uint64_t timeout_ns) {
  struct Point {
    Stream* stream;
    std::uint64_t submitted;
  };
  const Deadline deadline(timeout_ns);
  Lock lock(*this);
  std::vector<Point> points;
  for (Stream* stream : streams_) points.push_back({stream, stream->submitted()});
  Failure failure;
  for (const Point& point : points) {
    const auto is_there = std::find(streams_.begin(), streams_.end(), point.stream);
    if (is_there == streams_.end()) continue;
    if (!point.stream->wait_for(point.submitted, deadline, lock.raw()))
      return FLAGOS_STATUS_TIMEOUT;
    if (!failure) failure = point.stream->failure();
  }
  if (failure) throw Error(*failure);
  return FLAGOS_STATUS_OK;
}

void instance_close(flagos_plugin_instance_t* instance) noexcept { delete &from_c(instance); }

flagos_status_t device_get_count(flagos_plugin_instance_t* instance,
                                 std::uint32_t* out_count) noexcept {
  *out_count = from_c(instance).device_count();
  return FLAGOS_STATUS_OK;
}

flagos_status_t device_get_info(flagos_plugin_instance_t* instance, std::uint32_t index,
                                flagos_device_info_t* out_info) noexcept {
  const Instance& self = from_c(instance);
  return entry(self.host(), [&] { self.describe(index, *out_info); });
}

flagos_status_t device_open(flagos_plugin_instance_t* instance, std::uint32_t index,
                            flagos_plugin_device_t** out_device) noexcept {
  Instance& self = from_c(instance);
  return entry(self.host(),
               [&] { *out_device = to_c(std::make_unique<Device>(self, index).release()); });
}

void device_close(flagos_plugin_device_t* device) noexcept { delete &from_c(device); }

flagos_status_t device_query_memory(flagos_plugin_device_t* device, std::uint64_t* out_free_bytes,
                                    std::uint64_t* out_total_bytes) noexcept {
  Device& self = from_c(device);
  *out_total_bytes = self.physical().memory_bytes();
  *out_free_bytes = *out_total_bytes - std::min(*out_total_bytes, self.heap().used_bytes());
  return FLAGOS_STATUS_OK;
}

flagos_status_t device_synchronize(flagos_plugin_device_t* device,
                                   std::uint64_t timeout_ns) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] { return self.synchronize(timeout_ns); });
}

flagos_status_t device_query_status(flagos_plugin_device_t* device) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    Lock lock(self);
    if (self.is_lost()) throw Error(*self.loss());
  });
}

}  // namespace flagos::vulkan
