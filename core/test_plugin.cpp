// The fake plugin: operations are closures in queues of streams, run by one worker.
#include "core/test_plugin.hpp"

#include <doctest/doctest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "core/entry.hpp"
#include "core/runtime.hpp"

namespace flagos::core::test {

namespace {

FakeOptions next_options;
std::mutex trail_mutex;
std::vector<std::uint32_t> trail_values;

struct Point {
  bool complete = false;
  flagos_status_t status = FLAGOS_STATUS_OK;
  std::uint64_t time_ns = 0;
};

struct Operation {
  std::function<flagos_status_t(flagos_status_t)> run;  // given the stream's status
  std::shared_ptr<Point> point;                         // completed behind it
  std::shared_ptr<Point> wait;                          // not before this is complete
  bool always = false;                                  // also on a poisoned stream
  flagos_record_t record{};
};

struct Instance;

}  // namespace
}  // namespace flagos::core::test

using namespace flagos::core::test;

struct flagos_plugin_stream_t {
  flagos_plugin_device_t* device;
  std::deque<Operation> queue;
  std::shared_ptr<Point> last = std::make_shared<Point>(Point{true, FLAGOS_STATUS_OK, 0});
  flagos_status_t status = FLAGOS_STATUS_OK;
  std::uint64_t number;
  std::uint64_t submitted = 0;
  bool in_launch = false;  // what is submitted shares the number of submission
};
struct flagos_plugin_event_t {
  flagos_plugin_device_t* device;
  bool timing;
  std::shared_ptr<Point> point;
};
struct flagos_plugin_kernel_t {
  flagos_plugin_module_t* module;
  std::string name;
  std::vector<flagos_parameter_t> parameters;
};
struct flagos_plugin_module_t {
  flagos_plugin_device_t* device;
  std::map<std::string, flagos_plugin_kernel_t> kernels;
};
struct flagos_plugin_device_t {
  Instance* instance;
  std::uint64_t used = 0;
  std::map<flagos_address_t, std::uint64_t> blocks;
  bool profiling = false;
  std::map<flagos_address_t, bool> wrapped;  // whether it was given away
};

namespace flagos::core::test {
namespace {

struct Instance {
  const flagos_host_t* host;
  FakeOptions options;
  std::map<const void*, std::string*> images;  // of compile
  std::mutex mutex;
  std::condition_variable work, progress;
  std::set<flagos_plugin_stream_t*> streams;
  flagos_plugin_stream_t* running = nullptr;  // whose operation the worker has in hand
  FakeTables tables;
  std::uint64_t next_stream = 1;
  bool stop = false;
  std::thread worker;

  void run();
  flagos_plugin_stream_t* ready();
};

Instance* instance_of(flagos_plugin_instance_t* instance) { return reinterpret_cast<Instance*>(instance); }

flagos_status_t injected_failure() {
  if (fake().execute == FLAGOS_STATUS_OK) return FLAGOS_STATUS_OK;
  std::uint64_t left = fake().execute_after;
  while (left > 0) {
    if (fake().execute_after.compare_exchange_weak(left, left - 1)) return FLAGOS_STATUS_OK;
  }
  return fake().execute.exchange(0);
}

flagos_plugin_stream_t* Instance::ready() {
  if (fake().hold) return nullptr;
  for (flagos_plugin_stream_t* stream : streams) {
    if (stream->queue.empty()) continue;
    const Operation& head = stream->queue.front();
    if (!head.wait || head.wait->complete || stream->status != FLAGOS_STATUS_OK) return stream;
  }
  return nullptr;
}

void Instance::run() {
  std::unique_lock lock(mutex);
  while (!stop) {
    flagos_plugin_stream_t* stream = ready();
    if (stream == nullptr) {
      work.wait_for(lock, std::chrono::milliseconds(1));
      continue;
    }
    running = stream;
    Operation operation = std::move(stream->queue.front());
    stream->queue.pop_front();
    flagos_status_t status = stream->status;
    operation.record.started_ns = now_ns();
    if (operation.run && (status == FLAGOS_STATUS_OK || operation.always)) {
      lock.unlock();
      const flagos_status_t result = operation.run(status);
      operation.run = nullptr;
      if (const flagos_status_t lost = fake().lose.exchange(0))
        host->report_device_error(host->context, stream->device, lost, "it was told to be");
      lock.lock();
      const flagos_status_t injected = operation.always ? FLAGOS_STATUS_OK : injected_failure();
      if (status == FLAGOS_STATUS_OK) status = injected != FLAGOS_STATUS_OK ? injected : result;
    }
    stream->status = status;
    *operation.point = {true, status, now_ns()};
    if (stream->device->profiling && operation.record.name[0] != '\0') {
      operation.record.ended_ns = now_ns();
      host->emit_record(host->context, stream->device, &operation.record);
    }
    running = nullptr;
    progress.notify_all();
  }
}

flagos_status_t refused(Instance& instance, flagos_status_t status, const char* text) {
  instance.host->set_error(instance.host->context, status, text);
  return status;
}

flagos_status_t submit(flagos_plugin_stream_t* stream, Operation operation, const char* name = "",
                       flagos_record_kind_t kind = FLAGOS_RECORD_KIND_OTHER, std::uint64_t size = 0) {
  Instance& instance = *stream->device->instance;
  if (const flagos_status_t status = fake().submit.exchange(0))
    return refused(instance, status, "submit was told to fail");
  const std::lock_guard lock(instance.mutex);
  if (stream->status != FLAGOS_STATUS_OK) return refused(instance, stream->status, "the stream is poisoned");
  operation.point = std::make_shared<Point>();
  operation.record.kind = kind;
  operation.record.stream_id = stream->number;
  operation.record.queued_ns = operation.record.submitted_ns = now_ns();
  operation.record.size_bytes = size;
  if (!stream->in_launch) ++stream->submitted;
  operation.record.correlation_id = stream->submitted;
  std::strncpy(operation.record.name, name, sizeof(operation.record.name) - 1);
  stream->last = operation.point;
  stream->queue.push_back(std::move(operation));
  instance.work.notify_one();
  return FLAGOS_STATUS_OK;
}

flagos_status_t wait_for(Instance& instance, const std::shared_ptr<Point>& point, std::uint64_t timeout_ns) {
  std::unique_lock lock(instance.mutex);
  const std::uint64_t start = now_ns();
  while (!point->complete) {
    const std::uint64_t passed = now_ns() - start;
    if (passed >= timeout_ns) return FLAGOS_STATUS_TIMEOUT;
    instance.progress.wait_for(lock, std::chrono::nanoseconds(std::min<std::uint64_t>(timeout_ns - passed, 1'000'000)));
  }
  return point->status == FLAGOS_STATUS_OK ? FLAGOS_STATUS_OK : refused(instance, point->status, "the stream failed");
}

void* pointer(flagos_address_t address) { return reinterpret_cast<void*>(static_cast<std::uintptr_t>(address)); }

// ---- tables ------------------------------------------------------------------------------------------------------

flagos_status_t get_info(flagos_plugin_instance_t* handle, std::uint32_t index, flagos_device_info_t* out_info) {
  const Instance& instance = *instance_of(handle);
  flagos_device_info_t info{};
  info.struct_size = sizeof(info);
  std::strcpy(info.name, "fake device");
  std::strcpy(info.vendor, "flagos");
  std::strcpy(info.driver_version, "1");
  std::memcpy(info.uuid, instance.options.name, std::min<std::size_t>(std::strlen(instance.options.name), 12));
  info.uuid[15] = static_cast<std::uint8_t>(index + 1);
  info.type = FLAGOS_DEVICE_TYPE_CPU;
  info.capabilities = FLAGOS_DEVICE_CAPABILITY_ASYNC_SUBMIT | FLAGOS_DEVICE_CAPABILITY_HOST_ADDRESSES |
                      FLAGOS_DEVICE_CAPABILITY_PAGEABLE_KERNEL_ACCESS | FLAGOS_DEVICE_CAPABILITY_FAKE |
                      instance.options.capabilities;
  if ((instance.options.foreign_memory >> index & 1) != 0) {
    info.type = FLAGOS_DEVICE_TYPE_GPU;
    info.capabilities &=
        ~std::uint64_t{FLAGOS_DEVICE_CAPABILITY_HOST_ADDRESSES | FLAGOS_DEVICE_CAPABILITY_PAGEABLE_KERNEL_ACCESS};
  }
  info.dlpack_device_type = (instance.options.foreign_memory >> index & 1) != 0 ? 12 : 1;
  info.dlpack_device_id = static_cast<std::int32_t>(index);
  info.memory_bytes = info.max_allocation_bytes = instance.options.memory_bytes;
  info.allocation_alignment = 256;
  info.compute_units = 1;
  for (int i = 0; i < 3; ++i) info.max_grid[i] = info.max_block[i] = 1024;
  info.max_block_threads = 1024;
  info.subgroup_size = 1;
  info.max_shared_bytes = 65536;
  info.max_argument_bytes = 4096;
  if (instance.options.change_info != nullptr) instance.options.change_info(info);
  *out_info = info;
  return FLAGOS_STATUS_OK;
}

flagos_status_t alloc(flagos_plugin_device_t* device, const flagos_memory_desc_t* desc, flagos_address_t* out_address) {
  Instance& instance = *device->instance;
  if (desc->kind == FLAGOS_MEMORY_KIND_MANAGED || (desc->kind == FLAGOS_MEMORY_KIND_PINNED && !instance.options.pinned))
    return refused(instance, FLAGOS_STATUS_UNSUPPORTED, "no such memory");
  const std::lock_guard lock(instance.mutex);
  if (desc->size_bytes > instance.options.memory_bytes - device->used)
    return refused(instance, FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY, "the fake device is full");
  const std::uint64_t alignment = std::max<std::uint64_t>(desc->alignment_bytes, 256);
  void* block = std::aligned_alloc(alignment, (desc->size_bytes + alignment - 1) / alignment * alignment);
  if (block == nullptr) return refused(instance, FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY, "the host is full");
  std::memset(block, (desc->flags & FLAGOS_MEMORY_FLAG_ZERO) != 0 ? 0 : 0xcd, desc->size_bytes);
  *out_address = reinterpret_cast<std::uintptr_t>(block);
  device->blocks[*out_address] = desc->size_bytes;
  device->used += desc->size_bytes;
  ++fake().allocs;
  ++fake().live_allocations;
  return FLAGOS_STATUS_OK;
}

void free_block(flagos_plugin_device_t* device, flagos_address_t address) {
  ++fake().frees_begun;
  if (fake().slow_free) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const std::lock_guard lock(device->instance->mutex);
  if (const auto foreign = device->wrapped.find(address); foreign != device->wrapped.end()) {
    if (foreign->second) std::free(pointer(address));
    device->wrapped.erase(foreign);
    return;
  }
  const auto found = device->blocks.find(address);
  REQUIRE(found != device->blocks.end());
  device->used -= found->second;
  device->blocks.erase(found);
  std::free(pointer(address));
  ++fake().frees;
  --fake().live_allocations;
}

flagos_status_t copy(flagos_plugin_stream_t* stream, flagos_address_t target, flagos_address_t source,
                     std::uint64_t size) {
  ++fake().copies;
  Operation operation;
  operation.run = [=](flagos_status_t) {
    std::memmove(pointer(target), pointer(source), size);
    return FLAGOS_STATUS_OK;
  };
  return submit(stream, std::move(operation), "copy", FLAGOS_RECORD_KIND_COPY, size);
}

flagos_status_t fill(flagos_plugin_stream_t* stream, flagos_address_t target, const void* pattern,
                     std::uint32_t pattern_size, std::uint64_t size) {
  Instance& instance = *stream->device->instance;
  if (pattern_size > 4 && !instance.options.wide_fill)
    return refused(instance, FLAGOS_STATUS_UNSUPPORTED, "patterns of at most 4 bytes");
  ++fake().fills;
  const std::string bytes(static_cast<const char*>(pattern), pattern_size);
  Operation operation;
  operation.run = [=](flagos_status_t) {
    for (std::uint64_t i = 0; i < size; i += pattern_size) std::memcpy(pointer(target + i), bytes.data(), pattern_size);
    return FLAGOS_STATUS_OK;
  };
  return submit(stream, std::move(operation), "fill", FLAGOS_RECORD_KIND_FILL, size);
}

flagos_status_t launch_host(flagos_plugin_stream_t* stream, flagos_host_function_t function, void* user_data) {
  Operation operation;
  operation.always = true;
  operation.run = [=](flagos_status_t status) {
    function(user_data, status);
    return FLAGOS_STATUS_OK;
  };
  return submit(stream, std::move(operation), "host", FLAGOS_RECORD_KIND_HOST);
}

flagos_status_t run_kernel(const std::string& name, const std::vector<std::byte>& block) {
  if (name == "fail") return FLAGOS_STATUS_EXECUTION_FAILED;
  if (name == "append") {
    std::uint32_t value = 0;
    std::memcpy(&value, block.data(), sizeof(value));
    const std::lock_guard lock(trail_mutex);
    trail_values.push_back(value);
  } else if (name == "add") {
    flagos_address_t address = 0;
    std::uint32_t count = 0, value = 0;
    std::memcpy(&address, block.data(), 8);
    std::memcpy(&count, block.data() + 8, 4);
    std::memcpy(&value, block.data() + 12, 4);
    auto* data = static_cast<std::uint32_t*>(pointer(address));
    for (std::uint32_t i = 0; i < count; ++i) data[i] += value;
  }
  return FLAGOS_STATUS_OK;
}

flagos_status_t launch(flagos_plugin_stream_t* stream, flagos_plugin_kernel_t* kernel,
                       const flagos_launch_desc_t* desc) {
  ++fake().launches;
  fake().block = desc->block[0];
  fake().shared = desc->shared_bytes;
  const auto* bytes = static_cast<const std::byte*>(desc->argument_block);
  Operation operation;
  operation.run = [name = kernel->name, block = std::vector<std::byte>(bytes, bytes + desc->argument_bytes)](
                      flagos_status_t) { return run_kernel(name, block); };
  return submit(stream, std::move(operation), kernel->name.c_str(), FLAGOS_RECORD_KIND_KERNEL);
}

void add_kernel(flagos_plugin_module_t& module, const char* name, std::vector<flagos_parameter_t> parameters) {
  module.kernels[name] = {&module, name, std::move(parameters)};
}

flagos_status_t load(flagos_plugin_device_t* device, const flagos_module_desc_t*, flagos_plugin_module_t** out) {
  if (const flagos_status_t status = fake().load.exchange(0); status != FLAGOS_STATUS_OK)
    return refused(*device->instance, status, "the image is not taken");
  ++fake().loads;
  ++fake().live_modules;
  auto* module = new flagos_plugin_module_t{device, {}};
  const flagos_parameter_t number{FLAGOS_DTYPE_UINT32, 4, 4, 0};
  add_kernel(*module, "noop", {});
  add_kernel(*module, "fail", {});
  add_kernel(*module, "append", {number});
  add_kernel(*module, "add",
             {{FLAGOS_DTYPE_ADDRESS, 8, 8, 0}, {FLAGOS_DTYPE_UINT32, 4, 4, 8}, {FLAGOS_DTYPE_UINT32, 4, 4, 12}});
  *out = module;
  return FLAGOS_STATUS_OK;
}

flagos_status_t get_kernel(flagos_plugin_module_t* module, const flagos_kernel_desc_t* desc,
                           flagos_plugin_kernel_t** out) {
  const auto found = module->kernels.find(desc->name);
  if (found == module->kernels.end())
    return refused(*module->device->instance, FLAGOS_STATUS_NOT_FOUND, "no such kernel");
  *out = &found->second;
  return FLAGOS_STATUS_OK;
}

flagos_status_t get_kernel_info(flagos_plugin_kernel_t* kernel, flagos_kernel_info_t* out) {
  flagos_kernel_info_t info{};
  info.struct_size = sizeof(info);
  info.flags = FLAGOS_KERNEL_FLAG_SIGNATURE;
  std::strncpy(info.name, kernel->name.c_str(), sizeof(info.name) - 1);
  info.parameter_count = static_cast<std::uint32_t>(kernel->parameters.size());
  for (const flagos_parameter_t& parameter : kernel->parameters)
    info.argument_bytes = std::max(info.argument_bytes, parameter.offset_bytes + parameter.size_bytes);
  info.max_block_threads = 1024;
  *out = info;
  return FLAGOS_STATUS_OK;
}

flagos_status_t get_format(flagos_plugin_device_t* device, std::uint32_t index, flagos_format_info_t* out) {
  const char* target = device->instance->options.target;
  const bool takes_tile = device->instance->options.takes_tile;
  if (index > (takes_tile ? 2 : target != nullptr ? 1 : 0)) return FLAGOS_STATUS_NOT_FOUND;
  flagos_format_info_t info{};
  info.struct_size = sizeof(info);
  info.flags = FLAGOS_FORMAT_FLAG_LOAD | FLAGOS_FORMAT_FLAG_REFLECTION;
  std::strcpy(info.name, "fake");
  std::strcpy(info.version, "1.0");
  if (index == 1) {
    info.flags = FLAGOS_FORMAT_FLAG_COMPILE;
    std::memset(info.name, 0, sizeof(info.name));
    std::memcpy(info.name, target, std::strcspn(target, ";"));
    std::strcpy(info.target, target);
    info.schedule_class = FLAGOS_SCHEDULE_CLASS_SERIAL;
  }
  if (index == 2) {
    std::strcpy(info.name, "flagos.tile");
    info.priority = -1;
  }
  *out = info;
  return FLAGOS_STATUS_OK;
}

flagos_status_t compile(flagos_plugin_device_t* device, const flagos_module_desc_t* desc, flagos_compiled_t* out) {
  ++fake().compiles;
  const flagos_status_t status = fake().compile;
  out->log = "the compiler's words";
  if (status != FLAGOS_STATUS_OK) return refused(*device->instance, status, "it does not compile");
  auto* image = new std::string(static_cast<const char*>(desc->data), desc->size_bytes);
  out->data = image->data();
  out->size_bytes = image->size();
  out->format = "fake";
  const std::lock_guard lock(device->instance->mutex);
  device->instance->images[out->data] = image;
  return status;
}

void free_compiled(flagos_plugin_device_t* device, flagos_compiled_t* compiled) {
  const std::lock_guard lock(device->instance->mutex);
  delete device->instance->images[compiled->data];
  device->instance->images.erase(compiled->data);
}

flagos_status_t create_stream(flagos_plugin_device_t* device, const flagos_stream_desc_t*,
                              flagos_plugin_stream_t** out) {
  auto* stream = new flagos_plugin_stream_t{};
  stream->device = device;
  const std::lock_guard lock(device->instance->mutex);
  stream->number = device->instance->next_stream++;
  device->instance->streams.insert(stream);
  ++fake().live_streams;
  *out = stream;
  return FLAGOS_STATUS_OK;
}

void destroy_stream(flagos_plugin_stream_t* stream) {
  {
    Instance& instance = *stream->device->instance;
    std::unique_lock lock(instance.mutex);
    // One that a lost device had in hand; the worker itself may be who destroys it.
    if (std::this_thread::get_id() != instance.worker.get_id())
      instance.progress.wait(lock, [&] { return instance.running != stream; });
    CHECK(stream->last->complete);
    instance.streams.erase(stream);
  }
  --fake().live_streams;
  delete stream;
}

flagos_status_t synchronize_stream(flagos_plugin_stream_t* stream, std::uint64_t timeout_ns) {
  FakeControls::Stop wanted = FakeControls::Stop::wanted;
  if (timeout_ns != 0 && fake().stop_wait.compare_exchange_strong(wanted, FakeControls::Stop::reached)) {
    while (fake().stop_wait == FakeControls::Stop::reached) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  Instance& instance = *stream->device->instance;
  std::shared_ptr<Point> last;
  {
    const std::lock_guard lock(instance.mutex);
    last = stream->last;
  }
  return wait_for(instance, last, timeout_ns);
}

flagos_status_t wait_event(flagos_plugin_stream_t* stream, flagos_plugin_event_t* event) {
  ++fake().waits;
  Operation operation;
  {
    const std::lock_guard lock(event->device->instance->mutex);
    operation.wait = event->point;
  }
  if (!operation.wait) return FLAGOS_STATUS_OK;
  return submit(stream, std::move(operation));
}

flagos_status_t record(flagos_plugin_event_t* event, flagos_plugin_stream_t* stream) {
  ++fake().records;
  const flagos_status_t status = submit(stream, {});
  if (status != FLAGOS_STATUS_OK) return status;
  const std::lock_guard lock(stream->device->instance->mutex);
  event->point = stream->last;
  return status;
}

flagos_status_t synchronize_event(flagos_plugin_event_t* event, std::uint64_t timeout_ns) {
  Instance& instance = *event->device->instance;
  std::shared_ptr<Point> point;
  {
    const std::lock_guard lock(instance.mutex);
    point = event->point;
  }
  return point ? wait_for(instance, point, timeout_ns) : FLAGOS_STATUS_OK;
}

flagos_status_t get_elapsed(flagos_plugin_event_t* start, flagos_plugin_event_t* end, std::int64_t* out) {
  const std::lock_guard lock(start->device->instance->mutex);
  if (!start->point || !end->point)
    return refused(*start->device->instance, FLAGOS_STATUS_INVALID_ARGUMENT, "never recorded");
  if (!start->point->complete || !end->point->complete) return FLAGOS_STATUS_NOT_READY;
  *out = static_cast<std::int64_t>(end->point->time_ns - start->point->time_ns);
  return FLAGOS_STATUS_OK;
}

// ---- native objects ----------------------------------------------------------------------------------------------

flagos_status_t show(flagos_native_t* out, const char* type, std::uint64_t object) {
  std::strcpy(out->type, type);
  out->handle_count = 1;
  out->handles[0] = object;
  return FLAGOS_STATUS_OK;
}

bool is_native(const flagos_native_t* native, const char* type) {
  return std::strcmp(native->type, type) == 0 && native->handle_count == 1 && native->handles[0] != 0;
}

std::uint64_t number(const void* object) { return reinterpret_cast<std::uintptr_t>(object); }

flagos_status_t wrap_stream(flagos_plugin_device_t* device, const flagos_native_t* native, std::uint64_t,
                            flagos_plugin_stream_t** out) {
  if (!is_native(native, "fake_stream"))
    return refused(*device->instance, FLAGOS_STATUS_INVALID_ARGUMENT, "not a fake_stream");
  return create_stream(device, nullptr, out);
}

flagos_status_t wrap_event(flagos_plugin_device_t* device, const flagos_native_t* native, std::uint64_t,
                           flagos_plugin_event_t** out) {
  if (!is_native(native, "fake_event"))
    return refused(*device->instance, FLAGOS_STATUS_INVALID_ARGUMENT, "not a fake_event");
  const auto* known = reinterpret_cast<const flagos_plugin_event_t*>(static_cast<std::uintptr_t>(native->handles[0]));
  const std::lock_guard lock(device->instance->mutex);
  *out = new flagos_plugin_event_t{device, false, known->point};
  ++fake().live_events;
  return FLAGOS_STATUS_OK;
}

flagos_status_t wrap_memory(flagos_plugin_device_t* device, const flagos_native_t* native, std::uint64_t,
                            std::uint64_t flags, flagos_address_t* out) {
  if (!is_native(native, "fake_memory"))
    return refused(*device->instance, FLAGOS_STATUS_INVALID_ARGUMENT, "not a fake_memory");
  const std::lock_guard lock(device->instance->mutex);
  if (!device->wrapped.try_emplace(native->handles[0], (flags & FLAGOS_WRAP_FLAG_OWN) != 0).second)
    return refused(*device->instance, FLAGOS_STATUS_INVALID_ARGUMENT, "it is wrapped already");
  *out = native->handles[0];
  return FLAGOS_STATUS_OK;
}

// wrap_native_device is left out: a plugin may offer a part.
void fill_interop(flagos_interop_table_t& interop) {
  interop.get_native_device = [](flagos_plugin_device_t* handle, flagos_native_t* out) {
    return show(out, "fake_device", number(handle));
  };
  interop.get_native_stream = [](flagos_plugin_stream_t* handle, flagos_native_t* out) {
    return show(out, "fake_stream", number(handle));
  };
  interop.get_native_event = [](flagos_plugin_event_t* handle, flagos_native_t* out) {
    return show(out, "fake_event", number(handle));
  };
  interop.get_native_memory = [](flagos_plugin_device_t*, flagos_address_t address, flagos_native_t* out) {
    return show(out, "fake_memory", address);
  };
  interop.wrap_native_stream = wrap_stream;
  interop.wrap_native_event = wrap_event;
  interop.wrap_native_memory = wrap_memory;
}

// The instance is zeroed: what is not set is absent.
void fill_tables(Instance& instance) {
  auto& device = begin_table(instance.tables.device);
  device.get_count = [](flagos_plugin_instance_t* handle, std::uint32_t* out) {
    *out = instance_of(handle)->options.device_count;
    return flagos_status_t{FLAGOS_STATUS_OK};
  };
  device.get_info = get_info;
  device.open = [](flagos_plugin_instance_t* handle, std::uint32_t, flagos_plugin_device_t** out) {
    *out = new flagos_plugin_device_t{instance_of(handle), 0, {}, false, {}};
    ++fake().open_devices;
    return flagos_status_t{FLAGOS_STATUS_OK};
  };
  device.close = [](flagos_plugin_device_t* handle) {
    CHECK(handle->blocks.empty());
    --fake().open_devices;
    delete handle;
  };
  device.query_memory = [](flagos_plugin_device_t* handle, std::uint64_t* out_free, std::uint64_t* out_total) {
    *out_total = handle->instance->options.memory_bytes;
    *out_free = *out_total - handle->used;
    return flagos_status_t{FLAGOS_STATUS_OK};
  };
  auto& memory = begin_table(instance.tables.memory);
  memory.alloc = alloc;
  memory.free = free_block;
  memory.copy = copy;
  memory.fill = fill;
  if (instance.options.host_register) {
    memory.host_register = [](flagos_plugin_device_t*, void* host, std::uint64_t, std::uint32_t,
                              flagos_address_t* out) {
      *out = number(host);
      ++fake().registered;
      return flagos_status_t{FLAGOS_STATUS_OK};
    };
    memory.host_unregister = [](flagos_plugin_device_t*, void*) {
      --fake().registered;
      return flagos_status_t{FLAGOS_STATUS_OK};
    };
  }
  auto& stream = begin_table(instance.tables.stream);
  stream.create = create_stream;
  stream.destroy = destroy_stream;
  stream.synchronize = synchronize_stream;
  stream.wait_event = wait_event;
  if (instance.options.host_functions) stream.launch_host = launch_host;
  auto& event = begin_table(instance.tables.event);
  event.create = [](flagos_plugin_device_t* handle, const flagos_event_desc_t* desc, flagos_plugin_event_t** out) {
    *out = new flagos_plugin_event_t{handle, (desc->flags & FLAGOS_EVENT_FLAG_NO_TIMING) == 0, {}};
    ++fake().events;
    ++fake().live_events;
    return flagos_status_t{FLAGOS_STATUS_OK};
  };
  event.destroy = [](flagos_plugin_event_t* handle) {
    --fake().live_events;
    delete handle;
  };
  event.record = record;
  event.synchronize = synchronize_event;
  event.get_elapsed = get_elapsed;
  auto& module = begin_table(instance.tables.module);
  module.get_format = get_format;
  module.load = load;
  module.unload = [](flagos_plugin_module_t* handle) {
    --fake().live_modules;
    delete handle;
  };
  module.get_kernel = get_kernel;
  if (instance.options.target != nullptr) {
    module.compile = compile;
    module.free_compiled = free_compiled;
    module.get_compiler = [](flagos_plugin_device_t*, const char*, const char** out) {
      *out = fake().compiler;
      return flagos_status_t{FLAGOS_STATUS_OK};
    };
  }
  auto& kernel = begin_table(instance.tables.kernel);
  kernel.get_info = get_kernel_info;
  kernel.get_parameter = [](flagos_plugin_kernel_t* handle, std::uint32_t index, flagos_parameter_t* out) {
    *out = handle->parameters[index];
    return flagos_status_t{FLAGOS_STATUS_OK};
  };
  kernel.launch = launch;
  fill_interop(begin_table(instance.tables.interop));
  auto& profiling = begin_table(instance.tables.profiling);
  profiling.enable = [](flagos_plugin_device_t* handle, std::uint32_t enabled) {
    const std::lock_guard lock(handle->instance->mutex);
    handle->profiling = enabled != 0;
    return flagos_status_t{FLAGOS_STATUS_OK};
  };
  profiling.begin_launch = [](flagos_plugin_stream_t* handle) {
    const std::lock_guard lock(handle->device->instance->mutex);
    ++handle->submitted;
    handle->in_launch = true;
  };
  profiling.end_launch = [](flagos_plugin_stream_t* handle) {
    const std::lock_guard lock(handle->device->instance->mutex);
    handle->in_launch = false;
  };
  profiling.get_clock = [](flagos_plugin_device_t*, std::uint64_t* out_device, std::uint64_t* out_host) {
    *out_device = *out_host = now_ns();
    return flagos_status_t{FLAGOS_STATUS_OK};
  };
}

void start_worker(Instance& instance) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  instance.worker = std::thread([&instance] { instance.run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void close_instance(flagos_plugin_instance_t* handle) {
  Instance* instance = instance_of(handle);
  {
    const std::lock_guard lock(instance->mutex);
    instance->stop = true;
    instance->work.notify_one();
  }
  instance->worker.join();
  delete instance;
}

}  // namespace

FakeControls& fake() {
  static auto& controls = *new FakeControls;
  return controls;
}

std::vector<std::uint32_t> FakeControls::trail() {
  const std::lock_guard lock(trail_mutex);
  return trail_values;
}

void FakeControls::reset() {
  for (auto* count : {&copies, &fills, &launches, &records, &waits, &allocs, &frees, &events}) *count = 0;
  slow_free = false;
  frees_begun = 0;
  compiles = loads = 0;
  compile = load = 0;
  compiler = "fake compiler 1";
  submit = execute = lose = 0;
  execute_after = 0;
  const std::lock_guard lock(trail_mutex);
  trail_values.clear();
}

flagos_status_t submit_fake(flagos_plugin_stream_t* stream, std::function<flagos_status_t()> work) {
  Operation operation;
  operation.run = [work = std::move(work)](flagos_status_t) { return work(); };
  return submit(stream, std::move(operation), "operator");
}

void set_fake_options(const FakeOptions& options) { next_options = options; }

flagos_status_t open_fake(const flagos_host_t* host, flagos_plugin_t* out_plugin) {
  auto* instance = new Instance{};
  instance->host = host;
  instance->options = next_options;
  fill_tables(*instance);
  if (instance->options.change != nullptr) instance->options.change(instance->tables);
  start_worker(*instance);
  flagos_plugin_t plugin{};
  plugin.struct_size = sizeof(plugin);
  plugin.abi_version = plugin.abi_version_min = plugin.abi_version_max = FLAGOS_ABI_VERSION;
  plugin.instance = reinterpret_cast<flagos_plugin_instance_t*>(instance);
  plugin.name = next_options.name;
  plugin.vendor = "flagos";
  plugin.version = "1";
  plugin.close = close_instance;
  plugin.device = &instance->tables.device;
  plugin.memory = &instance->tables.memory;
  plugin.stream = &instance->tables.stream;
  plugin.event = &instance->tables.event;
  plugin.module = &instance->tables.module;
  plugin.kernel = &instance->tables.kernel;
  if (instance->options.profiling) plugin.profiling = &instance->tables.profiling;
  if (instance->options.native) plugin.interop = &instance->tables.interop;
  if (instance->tables.memory_pool.struct_size != 0) plugin.memory_pool = &instance->tables.memory_pool;
  if (instance->tables.timeline.struct_size != 0) plugin.timeline = &instance->tables.timeline;
  if (instance->tables.graph.struct_size != 0) plugin.graph = &instance->tables.graph;
  if (instance->tables.topology.struct_size != 0) plugin.topology = &instance->tables.topology;
  plugin.operators = instance->options.operators;
  plugin.virtual_memory = instance->options.virtual_memory;
  plugin.collective = instance->options.collective;
  *out_plugin = plugin;
  return FLAGOS_STATUS_OK;
}

}  // namespace flagos::core::test
