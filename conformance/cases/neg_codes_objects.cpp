// Rows of neg.error_code_exact: runtime, devices, streams, events, timelines, profilers.
#include "conformance/cases/neg_codes.hpp"

namespace flagos::conformance {
namespace {

constexpr auto invalid_argument = FLAGOS_STATUS_INVALID_ARGUMENT;
constexpr auto invalid_size = FLAGOS_STATUS_INVALID_STRUCT_SIZE;
constexpr auto unsupported = FLAGOS_STATUS_UNSUPPORTED;
constexpr auto not_found = FLAGOS_STATUS_NOT_FOUND;
constexpr auto busy = FLAGOS_STATUS_BUSY;

std::function<void(Call&)> text(const char* argument, const char* value) {
  return [=](Call& call) { call[argument] = reinterpret_cast<std::uint64_t>(value); };
}

void runtime_rows(std::vector<CodeRow>& rows, const CodeFacts& facts) {
  using Desc = flagos_runtime_desc_t;
  for (const std::uint32_t version : {0u, FLAGOS_MAKE_VERSION(0, 9), FLAGOS_MAKE_VERSION(2, 0),
                                      FLAGOS_MAKE_VERSION(1, 0xffff), UINT32_MAX})
    rows.push_back({"flagos_runtime_create", "abi_version " + std::to_string(version),
                    change<Desc>("desc", [=](Desc& desc) { desc.abi_version = version; }),
                    FLAGOS_STATUS_UNSUPPORTED_VERSION});
  rows.push_back({"flagos_runtime_create", "flags 4",
                  change<Desc>("desc", [](Desc& desc) { desc.flags |= 4; }), unsupported});
  rows.push_back({"flagos_runtime_create", "struct_size 4",
                  change<Desc>("desc", [](Desc& desc) { desc.struct_size = 4; }), invalid_size});
  rows.push_back({"flagos_runtime_create", "an unknown extension",
                  change<Desc>("desc", [](Desc& desc) { desc.next = required_extension(); }),
                  unsupported});
  for (const char* const path : {"/nonexistent/libplugin.so", "/", "/dev/null"})
    rows.push_back(
        {"flagos_runtime_add_plugin", path, text("path", path), FLAGOS_STATUS_PLUGIN_REJECTED});
  rows.push_back({"flagos_runtime_add_plugin", "the same plugin again",
                  [](Call& call) { call["runtime"] = call.world.handle(Type::runtime); },
                  FLAGOS_STATUS_PLUGIN_REJECTED});
  rows.push_back(
      {"flagos_get_proc", "no such function", text("name", "flagos_no_such_function"), not_found});
  rows.push_back({"flagos_get_proc", "a function without its prefix", text("name", "stream_create"),
                  not_found});
  rows.push_back({"flagos_runtime_get_candidate", "one past the end",
                  [](Call& call) {
                    std::uint32_t count = 0;
                    flagos_runtime_get_candidate_count(call.world.runtime(), &count);
                    call["index"] = count;
                  },
                  not_found});
  for (const char* const entry : {"flagos_device_describe", "flagos_device_open"})
    rows.push_back({entry, "one past the end",
                    [](Call& call) {
                      std::uint32_t count = 0;
                      flagos_device_get_count(call.world.runtime(), &count);
                      call["index"] = count;
                    },
                    not_found});
  static const std::string far_away = std::string(facts.device.id) + "999";
  for (const char* const id : {"", ":", "nobody", "nobody:0", far_away.c_str(), "0"})
    rows.push_back({"flagos_device_find", "id " + std::string(id), text("id", id), not_found});
}

// Opens and closes are the call's own; the child goes first.
void busy_rows(std::vector<CodeRow>& rows) {
  const auto add = [&](const char* what, auto make, auto destroy) {
    rows.push_back({"flagos_device_close", what,
                    [=](Call& call) {
                      auto* const device = reinterpret_cast<flagos_device_t*>(call["device"]);
                      const auto child = make(call, device);
                      call.undo([=] { destroy(device, child); });
                    },
                    busy});
  };
  add(
      "a live stream",
      [](Call&, flagos_device_t* device) {
        flagos_stream_t* made = nullptr;
        flagos_stream_create(device, nullptr, &made);
        return made;
      },
      [](flagos_device_t*, flagos_stream_t* made) { flagos_stream_destroy(made); });
  add(
      "a live event",
      [](Call&, flagos_device_t* device) {
        flagos_event_t* made = nullptr;
        flagos_event_create(device, nullptr, &made);
        return made;
      },
      [](flagos_device_t*, flagos_event_t* made) { flagos_event_destroy(made); });
  add(
      "a live timeline",
      [](Call&, flagos_device_t* device) {
        flagos_timeline_t* made = nullptr;
        flagos_timeline_create(device, 0, &made);
        return made;
      },
      [](flagos_device_t*, flagos_timeline_t* made) { flagos_timeline_destroy(made); });
  add(
      "live memory",
      [](Call& call, flagos_device_t* device) {
        flagos_address_t made = 0;
        const auto desc = call.world.valid<flagos_memory_desc_t>();
        flagos_memory_alloc(device, &desc, &made);
        return made;
      },
      [](flagos_device_t* device, flagos_address_t made) { flagos_memory_free(device, made); });
  add(
      "a live module",
      [](Call& call, flagos_device_t* device) {
        flagos_module_t* made = nullptr;
        const auto desc = call.world.valid<flagos_module_desc_t>();
        flagos_module_load(device, &desc, &made);
        return made;
      },
      [](flagos_device_t*, flagos_module_t* made) { flagos_module_unload(made); });
}

void stream_rows(std::vector<CodeRow>& rows, const CodeFacts& facts) {
  using Desc = flagos_stream_desc_t;
  for (const std::int64_t priority :
       {std::int64_t{facts.device.priority_low} + 1, std::int64_t{facts.device.priority_high} - 1,
        std::int64_t{INT32_MAX}, std::int64_t{INT32_MIN}})
    rows.push_back(
        {"flagos_stream_create", "priority " + std::to_string(priority),
         change<Desc>("desc",
                      [=](Desc& desc) { desc.priority = static_cast<std::int32_t>(priority); }),
         invalid_argument});
  for (const std::uint64_t flags :
       {std::uint64_t{1}, std::uint64_t{1} << 32, std::uint64_t{1} << 63})
    rows.push_back({"flagos_stream_create", "flags " + std::to_string(flags),
                    change<Desc>("desc", [=](Desc& desc) { desc.flags = flags; }), unsupported});
  rows.push_back({"flagos_stream_create", "struct_size 0",
                  change<Desc>("desc", [](Desc& desc) { desc.struct_size = 0; }), invalid_size});
  rows.push_back({"flagos_stream_create", "an unknown extension",
                  change<Desc>("desc", [](Desc& desc) { desc.next = required_extension(); }),
                  unsupported});
  rows.push_back(
      {"flagos_stream_launch_host", "no function", set("function", 0), invalid_argument});
}

// An event with these flags that was never recorded, in place of an argument.
std::function<void(Call&)> unrecorded(const char* argument) {
  return [=](Call& call) {
    flagos_event_t* made = nullptr;
    flagos_event_create(call.world.device(), nullptr, &made);
    call.undo([made] { flagos_event_destroy(made); });
    call[argument] = reinterpret_cast<std::uint64_t>(made);
  };
}

std::function<void(Call&)> untimed(const char* argument) {
  return [=](Call& call) {
    flagos_event_t* made = nullptr;
    const flagos_event_desc_t desc{sizeof desc, FLAGOS_EVENT_FLAG_NO_TIMING, nullptr};
    flagos_event_create(call.world.device(), &desc, &made);
    flagos_event_record(made, call.world.stream());
    flagos_event_synchronize(made, FLAGOS_TIMEOUT_INFINITE);
    call.undo([made] { flagos_event_destroy(made); });
    call[argument] = reinterpret_cast<std::uint64_t>(made);
  };
}

void event_rows(std::vector<CodeRow>& rows) {
  using Desc = flagos_event_desc_t;
  rows.push_back(
      {"flagos_event_create", "exportable, with timing",
       change<Desc>("desc", [](Desc& desc) { desc.flags = FLAGOS_EVENT_FLAG_EXPORTABLE; }),
       FLAGOS_STATUS_INVALID_ARGUMENT});
  for (const std::uint32_t flags : {8u, 16u, 0x80000000u})
    rows.push_back({"flagos_event_create", "flags " + std::to_string(flags),
                    change<Desc>("desc", [=](Desc& desc) { desc.flags = flags; }), unsupported});
  rows.push_back({"flagos_event_create", "struct_size 4",
                  change<Desc>("desc", [](Desc& desc) { desc.struct_size = 4; }), invalid_size});
  rows.push_back({"flagos_event_create", "an unknown extension",
                  change<Desc>("desc", [](Desc& desc) { desc.next = required_extension(); }),
                  unsupported});
  for (const char* const argument : {"start", "end"}) {
    rows.push_back({"flagos_event_get_elapsed", std::string(argument) + " was never recorded",
                    unrecorded(argument), invalid_argument});
    rows.push_back({"flagos_event_get_elapsed", std::string(argument) + " has no timing",
                    untimed(argument), invalid_argument});
  }
}

void timeline_rows(std::vector<CodeRow>& rows) {
  for (const std::uint64_t value : {5, 4, 1, 0})
    rows.push_back({"flagos_timeline_signal", "5, then " + std::to_string(value),
                    [=](Call& call) {
                      flagos_timeline_t* made = nullptr;
                      flagos_timeline_create(call.world.device(), 5, &made);
                      call.undo([made] { flagos_timeline_destroy(made); });
                      call["timeline"] = reinterpret_cast<std::uint64_t>(made);
                      call["value"] = value;
                    },
                    invalid_argument});
  // A failed timeline answers with the status that it failed with.
  for (const flagos_status_t status :
       {FLAGOS_STATUS_EXECUTION_FAILED, FLAGOS_STATUS_CANCELLED, FLAGOS_STATUS_INTERNAL})
    for (const char* const entry : {"flagos_timeline_query", "flagos_timeline_signal"})
      rows.push_back({entry, "failed with " + std::to_string(status),
                      [=](Call& call) {
                        flagos_timeline_t* made = nullptr;
                        flagos_timeline_create(call.world.device(), 0, &made);
                        flagos_timeline_fail(made, status);
                        call.undo([made] { flagos_timeline_destroy(made); });
                        call["timeline"] = reinterpret_cast<std::uint64_t>(made);
                      },
                      status});
  rows.push_back({"flagos_timeline_wait", "a NULL among the timelines",
                  [](Call& call) { *call.desc<std::uint64_t>("timelines") = 0; },
                  FLAGOS_STATUS_INVALID_HANDLE});
  rows.push_back(
      {"flagos_timeline_wait", "a stream among the timelines",
       [](Call& call) { *call.desc<std::uint64_t>("timelines") = call.world.handle(Type::stream); },
       FLAGOS_STATUS_INVALID_HANDLE});
}

void profiler_rows(std::vector<CodeRow>& rows) {
  using Desc = flagos_profiler_desc_t;
  rows.push_back({"flagos_profiler_create", "a second profiler",
                  [](Call& call) { call["device"] = call.world.handle(Type::device); }, busy});
  rows.push_back({"flagos_profiler_create", "flags 1",
                  change<Desc>("desc", [](Desc& desc) { desc.flags = 1; }), unsupported});
  rows.push_back({"flagos_profiler_create", "struct_size 4",
                  change<Desc>("desc", [](Desc& desc) { desc.struct_size = 4; }), invalid_size});
}

}  // namespace

std::vector<CodeRow> object_code_rows(const CodeFacts& facts) {
  std::vector<CodeRow> rows;
  runtime_rows(rows, facts);
  busy_rows(rows);
  stream_rows(rows, facts);
  event_rows(rows);
  timeline_rows(rows);
  profiler_rows(rows);
  return rows;
}

}  // namespace flagos::conformance
