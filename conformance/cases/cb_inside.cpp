// Inside a host function: what may be called there, what is refused, and what waits for it.
#include <flagos.h>

#include <string>

#include "conformance/cases/work.hpp"

namespace flagos::conformance {
namespace {

// Everything a host function of these cases uses and finds. Lives longer than the stream it runs
// on.
struct Inside {
  Context* t = nullptr;
  flagos_device_t* device = nullptr;
  flagos_stream_t* stream = nullptr;
  flagos_stream_t* other = nullptr;
  flagos_event_t* event = nullptr;
  flagos_timeline_t* timeline = nullptr;
  flagos_kernel_t* kernel = nullptr;
  flagos_address_t memory = 0;
  std::vector<std::pair<const char*, flagos_status_t>> answers;
  std::atomic<bool> done{false};

  void note(const char* what, flagos_status_t status) { answers.emplace_back(what, status); }
};

void call_forbidden(void* data, flagos_status_t) {
  auto& in = *static_cast<Inside*>(data);
  flagos_memory_desc_t memory{};
  memory.struct_size = sizeof memory;
  memory.kind = FLAGOS_MEMORY_KIND_DEVICE;
  memory.size_bytes = 64;
  flagos_address_t address = 0;
  in.note("memory_alloc", flagos_memory_alloc(in.device, &memory, &address));
  in.note("memory_free", flagos_memory_free(in.device, in.memory));
  in.note("memory_copy", flagos_memory_copy(in.other, in.memory, in.memory + 64, 64));
  in.note("memory_fill", flagos_memory_fill(in.other, in.memory, "x", 1, 64));
  flagos_stream_t* stream = nullptr;
  in.note("stream_create", flagos_stream_create(in.device, nullptr, &stream));
  in.note("stream_synchronize of another stream", flagos_stream_synchronize(in.other, 0));
  in.note("event_record", flagos_event_record(in.event, in.other));
  in.note("event_synchronize", flagos_event_synchronize(in.event, 0));
  in.note("device_synchronize", flagos_device_synchronize(in.device, 0));
  const auto desc = launch_desc({1, 1, 1}, {1, 1, 1});
  in.note("kernel_launch", flagos_kernel_launch(in.other, in.kernel, &desc));
  std::uint32_t count = 0;
  in.note("module_get_format_count", flagos_module_get_format_count(in.device, &count));
  in.done = true;
}

void call_allowed(void* data, flagos_status_t) {
  auto& in = *static_cast<Inside*>(data);
  flagos_device_info_t info{};
  info.struct_size = sizeof info;
  in.note("device_get_info", flagos_device_get_info(in.device, &info));
  flagos_support_t support = 0;
  in.note("device_get_feature",
          flagos_device_get_feature(in.device, FLAGOS_FEATURE_GRAPH, &support));
  in.note("device_query_status", flagos_device_query_status(in.device));
  flagos_memory_info_t memory{};
  memory.struct_size = sizeof memory;
  in.note("memory_get_info", flagos_memory_get_info(in.device, in.memory, &memory));
  if (memory.base != in.memory)
    in.note("memory_get_info found another base", FLAGOS_STATUS_INTERNAL);
  std::uint32_t complete = 7;
  in.note("stream_query", flagos_stream_query(in.other, &complete));
  in.note("event_query", flagos_event_query(in.event, &complete));
  flagos_kernel_info_t kernel{};
  kernel.struct_size = sizeof kernel;
  in.note("kernel_get_info", flagos_kernel_get_info(in.kernel, &kernel));
  flagos_version_info_t version{};
  version.struct_size = sizeof version;
  in.note("get_version", flagos_get_version(&version));
  in.note("range_push", flagos_range_push("inside"));
  in.note("range_pop", flagos_range_pop());
  if (in.timeline != nullptr) {
    std::uint64_t value = 0;
    in.note("timeline_query", flagos_timeline_query(in.timeline, &value));
    in.note("timeline_signal", flagos_timeline_signal(in.timeline, value + 1));
  }
  if (std::string(flagos_status_get_name(FLAGOS_STATUS_OK)) != "FLAGOS_STATUS_OK") {
    in.note("status_get_name", FLAGOS_STATUS_INTERNAL);
  }
  in.done = true;
}

// Runs one host function between two kernels; gives the answers it got.
void run_inside(Context& t, Inside& in, flagos_host_function_t function) {
  Words words(t, 16, 1), memory(t, 64);
  Stream stream(t), other(t);
  Event event(t);
  Drain drain(stream);
  in.t = &t;
  in.device = t.device();
  in.stream = stream;
  in.other = other;
  in.event = event;
  in.kernel = t.kernel("tl_affine");
  in.memory = memory.at();
  flagos_memory_info_t info{};
  info.struct_size = sizeof info;
  t.ok(flagos_memory_get_info(t.device(), memory.at(), &info), "the allocation of a buffer");
  in.memory = info.base;
  affine(t, stream, words, 2, 1);
  t.ok(flagos_stream_launch_host(stream, function, &in), "a host function is queued");
  affine(t, stream, words, 2, 1);
  stream.synchronize();
  t.check(in.done.load(), "the host function came to its end");
  t.equal(words.first(), 7, "the work around the host function is done");
}

}  // namespace

FLAGOS_CASE("cb.api_call_inside", {.clause = "NOT_PERMITTED inside a host callback",
                                   .level = Level::optional,
                                   .oracle = Oracle::code,
                                   .feature = "host_callback"}) {
  t.require(FLAGOS_FEATURE_HOST_CALLBACK);
  {
    Inside in;
    run_inside(t, in, &call_forbidden);
    for (const auto& [what, status] : in.answers) {
      t.subcase(what);
      t.status(status, FLAGOS_STATUS_NOT_PERMITTED, "a call that is not marked `callback: yes`");
    }
  }
  Inside in;
  if (t.has(FLAGOS_FEATURE_TIMELINE)) {
    t.ok(flagos_timeline_create(t.device(), 4, &in.timeline), "a timeline");
  }
  run_inside(t, in, &call_allowed);
  std::uint64_t value = 5;
  if (in.timeline != nullptr) {
    t.ok(flagos_timeline_query(in.timeline, &value), "a query");
    t.ok(flagos_timeline_destroy(in.timeline), "the timeline is destroyed");
  }
  t.equal(value, 5, "a signal from the host function counts");
  for (const auto& [what, status] : in.answers) {
    t.subcase(what);
    t.ok(status, "a call that is marked `callback: yes`");
  }
}

FLAGOS_CASE("cb.enqueue_from_callback", {.clause = "NOT_PERMITTED inside a host callback",
                                         .level = Level::optional,
                                         .oracle = Oracle::code,
                                         .feature = "host_callback"}) {
  t.require(FLAGOS_FEATURE_HOST_CALLBACK);
  Inside in;
  run_inside(t, in, [](void* data, flagos_status_t) {
    auto& self = *static_cast<Inside*>(data);
    self.note("fill on the own stream", flagos_memory_fill(self.stream, self.memory, "x", 1, 64));
    self.note("host function on the own stream",
              flagos_stream_launch_host(self.stream, &call_allowed, data));
    self.done = true;
  });
  t.equal(in.answers.size(), 2, "the host function asked twice");
  for (const auto& [what, status] : in.answers) {
    t.subcase(what);
    t.status(status, FLAGOS_STATUS_NOT_PERMITTED, "nothing is queued from a host function");
  }
}

FLAGOS_CASE("cb.stream_sync_from_callback", {.clause = "NOT_PERMITTED inside a host callback",
                                             .level = Level::optional,
                                             .oracle = Oracle::live,
                                             .feature = "host_callback"}) {
  t.require(FLAGOS_FEATURE_HOST_CALLBACK);
  Inside in;
  run_inside(t, in, [](void* data, flagos_status_t) {
    auto& self = *static_cast<Inside*>(data);
    self.note("its own stream, forever",
              flagos_stream_synchronize(self.stream, FLAGOS_TIMEOUT_INFINITE));
    self.note("its own device, forever",
              flagos_device_synchronize(self.device, FLAGOS_TIMEOUT_INFINITE));
    self.done = true;
  });
  for (const auto& [what, status] : in.answers) {
    t.subcase(what);
    t.status(status, FLAGOS_STATUS_NOT_PERMITTED,
             "a host function that waits for itself is told so");
  }
}

FLAGOS_CASE("cb.during_shutdown", {.clause = "flagos_runtime_destroy waits for pending work",
                                   .level = Level::optional,
                                   .isolation = Isolation::own,
                                   .feature = "host_callback"}) {
  t.require(FLAGOS_FEATURE_HOST_CALLBACK);
  t.smoke();
  static std::atomic<bool> entered, left;
  entered = false;
  left = false;
  flagos_runtime_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.abi_version = FLAGOS_ABI_VERSION;
  desc.flags = FLAGOS_RUNTIME_FLAG_NO_SEARCH;
  flagos_runtime_t* runtime = nullptr;
  flagos_device_t* device = nullptr;
  flagos_stream_t* stream = nullptr;
  t.ok(flagos_runtime_create(&desc, &runtime), "a second runtime");
  t.ok(flagos_runtime_add_plugin(runtime, t.settings().plugin_path.c_str()), "with the plugin");
  t.ok(flagos_device_open(runtime, t.settings().device_ordinal, &device), "the device");
  t.ok(flagos_stream_create(device, nullptr, &stream), "a stream");
  const auto linger = [](void*, flagos_status_t) {
    entered = true;
    nap(0.4);
    left = true;
  };
  t.ok(flagos_stream_launch_host(stream, linger, nullptr), "a host function is queued");
  t.check(eventually([] { return entered.load(); }), "it is called");
  t.ok(flagos_runtime_destroy(runtime), "the runtime is destroyed meanwhile");
  t.check(left.load(), "the host function had returned when the runtime was gone");
  t.smoke();
}

}  // namespace flagos::conformance
