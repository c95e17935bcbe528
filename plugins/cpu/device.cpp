#include "plugins/cpu/device.hpp"

#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <string_view>

#include "base/thread.hpp"
#include "plugins/cpu/handles.hpp"
#include "plugins/cpu/kernel.hpp"
#include "plugins/cpu/stream.hpp"

namespace flagos::cpu {
namespace {

constexpr std::uint32_t max_devices = 256;
constexpr std::uint32_t max_threads = 4096;
constexpr std::uint32_t extra_workers = 64;  // how many kernels may block and streams still go on

// The value behind "key : value" in /proc/cpuinfo; "" when there is none.
std::string cpu_property(std::string_view key) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const std::size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return {};
}

// What names this machine in every process and after every boot.
std::string machine_identity() {
  std::string identity;
  std::ifstream file("/etc/machine-id");
  if (std::getline(file, identity) && !identity.empty()) return identity;
  utsname system{};
  uname(&system);
  return fmt::format("{} {} {}", system.nodename, cpu_property("model name"),
                     physical_memory_bytes());
}

std::uint64_t fnv1a(std::string_view text, std::uint64_t hash) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

std::array<std::uint8_t, 16> make_uuid(std::uint32_t index, std::uint32_t device_count) {
  const std::string text =
      fmt::format("flagos cpu {} of {} {}", index, device_count, machine_identity());
  const std::uint64_t halves[2] = {fnv1a(text, 0xcbf29ce484222325u),
                                   fnv1a(text, 0x84222325cbf29ce4u)};
  std::array<std::uint8_t, 16> uuid{};
  std::memcpy(uuid.data(), halves, sizeof(halves));
  uuid[6] = static_cast<std::uint8_t>((uuid[6] & 0x0f) |
                                      0x80);  // version 8, made by a rule of our own: never zero
  uuid[8] = static_cast<std::uint8_t>((uuid[8] & 0x3f) | 0x80);
  return uuid;
}

template <std::size_t size>
void copy_text(char (&target)[size], const std::string& text) {
  std::strncpy(target, text.c_str(), size - 1);
}

}  // namespace

Instance::Instance(const flagos_host_t& host) : host_(host), processors_(usable_processors()) {
  device_count_ = host_.get_count("FLAGOS_CPU_DEVICES", 1, max_devices);
  thread_limit_ = host_.get_count("FLAGOS_CPU_THREADS", max_threads, max_threads);
  accounts_ = std::make_unique<MemoryAccount[]>(device_count_);
  const std::uint64_t total_bytes = physical_memory_bytes() / device_count_ / 4096 * 4096;
  for (std::uint32_t i = 0; i < device_count_; ++i) accounts_[i].total_bytes = total_bytes;
}

// Devices get neighbouring processors, the first ones one more where the division leaves a rest.
ThreadPool::Options Instance::pool_options(std::uint32_t index) const {
  const auto processor_count = static_cast<std::uint32_t>(processors_.size());
  ThreadPool::Options options;
  options.name = fmt::format("flagos-cpu{}", index);
  options.threads = std::max(1u, processor_count / device_count_);
  if (device_count_ > 1 && device_count_ <= processor_count) {
    const std::uint32_t rest = processor_count % device_count_;
    const std::uint32_t first = index * options.threads + std::min(index, rest);
    if (index < rest) ++options.threads;
    const auto begin = processors_.begin() + first;
    options.processors.assign(begin, begin + options.threads);
  }
  options.threads = std::min(options.threads, thread_limit_);
  options.max_workers = options.threads + extra_workers;
  return options;
}

void Instance::describe(std::uint32_t index, flagos_device_info_t& info) const {
  std::string name = cpu_property("model name");
  if (name.empty()) name = "host processor";
  if (device_count_ > 1) name += fmt::format(" (part {} of {})", index + 1, device_count_);
  copy_text(info.name, name);
  copy_text(info.vendor, cpu_property("vendor_id"));
  copy_text(info.driver_version, FLAGOS_CPU_VERSION);
  const std::array<std::uint8_t, 16> uuid = make_uuid(index, device_count_);
  std::copy(uuid.begin(), uuid.end(), info.uuid);
  info.type = FLAGOS_DEVICE_TYPE_CPU;
  info.schedule_class = FLAGOS_SCHEDULE_CLASS_SERIAL;
  info.capabilities =
      FLAGOS_DEVICE_CAPABILITY_ASYNC_SUBMIT | FLAGOS_DEVICE_CAPABILITY_CONCURRENT_STREAMS |
      FLAGOS_DEVICE_CAPABILITY_HOST_ADDRESSES | FLAGOS_DEVICE_CAPABILITY_PAGEABLE_KERNEL_ACCESS |
      FLAGOS_DEVICE_CAPABILITY_COOPERATIVE_LAUNCH;
  info.memory_bytes = accounts_[index].total_bytes;
  info.max_allocation_bytes = info.memory_bytes;
  info.allocation_alignment = 256;
  info.compute_units = pool_options(index).threads;
  info.max_grid[0] = INT32_MAX;
  info.max_grid[1] = info.max_grid[2] = 65535;
  std::fill(info.max_block, info.max_block + 3, max_block_threads);
  info.max_block_threads = max_block_threads;
  info.subgroup_size = 1;
  info.max_shared_bytes = max_shared_bytes;
  info.max_argument_bytes = max_argument_bytes;
  info.priority_low = priority_low;
  info.priority_high = priority_high;
  info.dlpack_device_type = 1;  // kDLCPU, whose id is always 0
}

Device::Device(Instance& instance, std::uint32_t index)
    : instance_(instance),
      heap_(instance.memory(index)),
      pool_(instance.host(), instance.pool_options(index)),
      callbacks_(instance.host(), fmt::format("flagos-host{}", index)) {}

void Device::add(Stream& stream) {
  const std::lock_guard lock(streams_mutex_);
  streams_.push_back(&stream);
}

void Device::remove(Stream& stream) noexcept {
  const std::lock_guard lock(streams_mutex_);
  streams_.erase(std::find(streams_.begin(), streams_.end(), &stream));
}

// Streams may come and go meanwhile: only those that are there now count, and each is held until it
// was waited for.
flagos_status_t Device::synchronize(std::uint64_t timeout_ns) {
  struct Point {
    explicit Point(Stream& s) : stream(&s), submitted(s.submitted()) { s.acquire(); }
    Point(Point&& other) noexcept
        : stream(std::exchange(other.stream, nullptr)), submitted(other.submitted) {}
    Point& operator=(Point&&) = delete;
    ~Point() {
      if (stream != nullptr) stream->drop();
    }
    Stream* stream;
    std::uint64_t submitted;
  };
  const Deadline deadline(timeout_ns);
  std::vector<Point> points;
  {
    const std::lock_guard lock(streams_mutex_);
    points.reserve(streams_.size());
    for (Stream* stream : streams_) points.emplace_back(*stream);
  }
  Failure failure;
  for (const Point& point : points) {
    if (!point.stream->wait_for(point.submitted, deadline)) return FLAGOS_STATUS_TIMEOUT;
    if (!failure) failure = point.stream->failure();
  }
  if (failure) throw Error(*failure);
  return FLAGOS_STATUS_OK;
}

void Device::lose(const Failure& failure) noexcept {
  if (lost_.exchange(true)) return;
  // Those that are made after the host knows belong to the device that it brought back.
  std::vector<Stream*> streams;
  entry(host(), [&] {
    const std::lock_guard lock(streams_mutex_);
    streams = streams_;
    for (Stream* stream : streams) stream->acquire();
  });
  host().report_lost(to_c(this), failure->what());
  for (Stream* stream : streams) {
    stream->give_up(failure);
    stream->drop();
  }
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
  const MemoryAccount& account = from_c(device).heap().account();
  *out_total_bytes = account.total_bytes;
  *out_free_bytes = account.total_bytes - std::min(account.total_bytes, account.used_bytes.load());
  return FLAGOS_STATUS_OK;
}

flagos_status_t device_synchronize(flagos_plugin_device_t* device,
                                   std::uint64_t timeout_ns) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] { return self.synchronize(timeout_ns); });
}

// The host's own processors are not lost, but a kernel may say that they are: so whatever is built on
// flagos can be tried with a loss.
flagos_status_t device_query_status(flagos_plugin_device_t* device) noexcept {
  return from_c(device).is_lost() ? FLAGOS_STATUS_DEVICE_LOST : FLAGOS_STATUS_OK;
}
flagos_status_t device_recover(flagos_plugin_device_t* device) noexcept {
  from_c(device).recover();
  return FLAGOS_STATUS_OK;
}

// Parts of one host share its memory.
flagos_status_t topology_get_link(flagos_plugin_instance_t*, std::uint32_t, std::uint32_t,
                                  flagos_link_info_t* out_info) noexcept {
  out_info->type = FLAGOS_LINK_TYPE_HOST_MEMORY;
  out_info->flags =
      FLAGOS_LINK_FLAG_NATIVE_COPY | FLAGOS_LINK_FLAG_DIRECT_ACCESS | FLAGOS_LINK_FLAG_ATOMICS;
  return FLAGOS_STATUS_OK;
}

flagos_status_t profiling_enable(flagos_plugin_device_t* device, std::uint32_t enabled) noexcept {
  from_c(device).set_profiling(enabled != 0);
  return FLAGOS_STATUS_OK;
}

flagos_status_t profiling_get_clock(flagos_plugin_device_t* device, std::uint64_t* out_device_ns,
                                    std::uint64_t* out_host_ns) noexcept {
  *out_device_ns = now_ns();
  *out_host_ns = from_c(device).host().now_ns();
  return FLAGOS_STATUS_OK;
}

}  // namespace flagos::cpu
