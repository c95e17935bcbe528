// What the files of this plugin share: errors, the guard at the C boundary, the objects behind the
// handles, and the six tables. The opaque types of flagos_plugin.h are ours to define.
#pragma once

#include <flagos_cpu_kernel.h>
#include <flagos_plugin.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace skeleton {

inline constexpr std::uint64_t kMemoryBytes = std::uint64_t{1} << 30;
inline constexpr std::uint32_t kAlignment = 256;
inline constexpr std::uint32_t kMaxBlockThreads = 1024;
inline constexpr std::uint32_t kMaxArgumentBytes = 4096;

struct Error : std::runtime_error {
  Error(flagos_status_t code, const std::string& text) : std::runtime_error(text), status(code) {}
  flagos_status_t status;
};

// Runs the body of an entry, which returns nothing or a status. No exception gets past it, and the
// text of an error goes to the host: rules 6 and 7 of flagos_plugin.h, kept in one place.
template <typename Body>
flagos_status_t guard(const flagos_host_t* host, Body&& body) noexcept {
  const auto fail = [host](flagos_status_t status, const char* text) {
    host->set_error(host->context, status, text);
    return status;
  };
  try {
    if constexpr (!std::is_void_v<decltype(body())>) return body();
    body();
    return FLAGOS_STATUS_OK;
  } catch (const Error& error) {
    return fail(error.status, error.what());
  } catch (const std::bad_alloc&) {
    return fail(FLAGOS_STATUS_OUT_OF_HOST_MEMORY, "out of host memory");
  } catch (const std::exception& error) {
    return fail(FLAGOS_STATUS_INTERNAL, error.what());
  } catch (...) {
    return fail(FLAGOS_STATUS_INTERNAL, "an exception of unknown type");
  }
}

// entry<f> is the C entry of a function f that may throw. Its first parameter is one of our
// objects, which all know the host.
template <auto function, typename Object, typename... Rest>
flagos_status_t entry(Object* object, Rest... rest) {
  return guard(object->host, [&] { return function(object, rest...); });
}

template <typename Object>
void delete_object(Object* object) {
  delete object;
}

// Hands out a struct: no more bytes than its owner has room for.
template <typename T>
void write_out(T* out, T value) {
  value.struct_size = std::min<std::uint32_t>(out->struct_size, sizeof(T));
  std::memcpy(out, &value, value.struct_size);
}

// The end of one operation. Whoever waits for an event holds the point of its last record, not the
// event, so that recording the event again, or destroying it, does not disturb waits from before.
class Point {
 public:
  void complete(const std::optional<Error>& failure);
  bool passed(std::uint64_t timeout_ns);             // waits; false when the time ran out
  flagos_status_t wait(std::uint64_t timeout_ns);    // OK, TIMEOUT, or throws the stream's failure
  std::int64_t time_ns() const { return time_ns_; }  // of a completed point

 private:
  std::mutex mutex_;
  std::condition_variable completed_;
  bool complete_ = false;
  std::optional<Error> failure_;
  std::int64_t time_ns_ = 0;
};
using PointPtr = std::shared_ptr<Point>;

extern const flagos_device_table_t device_table;
extern const flagos_memory_table_t memory_table;
extern const flagos_stream_table_t stream_table;
extern const flagos_event_table_t event_table;
extern const flagos_module_table_t module_table;
extern const flagos_kernel_table_t kernel_table;

}  // namespace skeleton

struct flagos_plugin_instance_t {
  const flagos_host_t* host;
  std::mutex mutex;
  std::uint64_t used_bytes = 0;  // of device memory, by all opens of the device
};

struct flagos_plugin_device_t {
  const flagos_host_t* host;
  flagos_plugin_instance_t* instance;
  std::map<flagos_address_t, std::uint64_t> counted_bytes;  // 0 for pinned; by instance->mutex
};

// A queue and the thread that works it off.
struct flagos_plugin_stream_t {
  explicit flagos_plugin_stream_t(const flagos_host_t* stream_host);
  ~flagos_plugin_stream_t();
  // Queues work. What it throws poisons the stream; on a poisoned stream it is skipped.
  skeleton::PointPtr submit(std::function<void()> work);
  skeleton::PointPtr last();  // the point of the newest operation, never NULL

  const flagos_host_t* host;

 private:
  struct Operation {
    std::function<void()> work;
    skeleton::PointPtr point;
  };
  void run();
  void execute(Operation operation);

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Operation> queue_;
  skeleton::PointPtr last_ = std::make_shared<skeleton::Point>();
  bool stop_ = false;
  std::optional<skeleton::Error> failure_;  // written by the worker, under the mutex
  std::thread worker_;
};

struct flagos_plugin_event_t {
  const flagos_host_t* host;
  bool timing;
  std::mutex mutex;
  skeleton::PointPtr last;  // NULL: never recorded
  skeleton::PointPtr get();
};

struct flagos_plugin_kernel_t {
  const flagos_host_t* host;
  std::string name;
  const flagos_cpu_kernel_t* descriptor;  // in the loaded library
};

struct flagos_plugin_module_t {
  ~flagos_plugin_module_t();
  const flagos_host_t* host;
  int file = -1;  // open as long as the library: dlopen knows the library by the file's number
  void* library = nullptr;
  std::mutex mutex;
  std::map<std::string, flagos_plugin_kernel_t> kernels;
};
