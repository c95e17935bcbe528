// Rows of the description: streams, events, timelines.
#include "conformance/cases/entries.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr auto invalid_argument = FLAGOS_STATUS_INVALID_ARGUMENT;
constexpr std::uint64_t a_minute = 60'000'000'000u;

Argument device() { return handle("device", Type::device); }
Argument stream() { return handle("stream", Type::stream); }
Argument event() { return handle("event", Type::event); }
Argument timeout() {
  return value("timeout_ns", Kind::timeout, a_minute).point(FLAGOS_TIMEOUT_INFINITE, {ok});
}

void drain(Call& call, flagos_status_t) {
  flagos_stream_synchronize(call.world.stream(), a_minute);
}

void called_by_the_stream(void*, flagos_status_t) {}

std::uint64_t value_size_of(Call&) { return 4; }
Argument value_size() {
  return value("size_bytes", Kind::size, value_size_of)
      .point(0, {invalid_argument})
      .point(1, {invalid_argument})
      .point(16, {invalid_argument})
      .point(UINT32_MAX, {invalid_argument});
}

// An event that is recorded and complete, so that time can be read from it.
std::uint64_t complete_event(Call& call) {
  if (call.world.live()) {
    flagos_event_record(call.world.event(), call.world.stream());
    flagos_event_synchronize(call.world.event(), a_minute);
  }
  return call.world.handle(Type::event);
}
Argument completed(const char* name) {
  return {.name = name, .kind = Kind::handle, .type = Type::event, .valid = complete_event};
}

void describe_values(std::vector<Entry>& entries) {
  entries.push_back(
      FLAGOS_ENTRY(flagos_stream_write_value, stream(),
                   value("target", Kind::address, [](Call& call) { return call.world.target(); })
                       .point(0, {invalid_argument}),
                   value("value", Kind::number, 7), value_size())
          .statuses({ok, FLAGOS_STATUS_UNSUPPORTED}));
  entries.push_back(
      FLAGOS_ENTRY(flagos_stream_wait_value, stream(),
                   value("source", Kind::address, [](Call& call) { return call.world.zeros(); })
                       .point(0, {invalid_argument}),
                   value("value", Kind::number, 0), value_size(),
                   value("compare", Kind::enumeration, FLAGOS_COMPARE_EQUAL)
                       .point(FLAGOS_COMPARE_GREATER_EQUAL + 1, {invalid_argument})
                       .point(0x7fffffff, {invalid_argument})
                       .point(0xffffffff, {invalid_argument}))
          .feature(FLAGOS_FEATURE_STREAM_VALUE));
}

void describe_events(std::vector<Entry>& entries) {
  entries.push_back(FLAGOS_ENTRY(flagos_event_create, device(),
                                 in_struct<flagos_event_desc_t>("desc").may_be_null(),
                                 out_handle("out_event", Type::event)));
  entries.push_back(FLAGOS_ENTRY(flagos_event_destroy, taken("event", Type::event)));
  entries.push_back(FLAGOS_ENTRY(flagos_event_record, event(), stream()).then(drain));
  entries.push_back(FLAGOS_ENTRY(flagos_event_query, event(), out_value("out_complete", 4)));
  entries.push_back(FLAGOS_ENTRY(flagos_event_synchronize, event(), timeout()));
  entries.push_back(FLAGOS_ENTRY(flagos_event_get_elapsed, completed("start"), completed("end"),
                                 out_value("out_elapsed_ns", 8)));
}

std::uint64_t above_the_timeline(Call& call) {
  std::uint64_t reached = 0;
  flagos_timeline_query(call.world.timeline(), &reached);
  return reached + 1;
}

std::uint64_t one_timeline(Call& call) {
  auto* const timelines = static_cast<std::uint64_t*>(call.keep(sizeof(std::uint64_t)));
  timelines[0] = call.world.handle(Type::timeline);
  return reinterpret_cast<std::uint64_t>(timelines);
}

void describe_timelines(std::vector<Entry>& entries) {
  entries.push_back(FLAGOS_ENTRY(flagos_timeline_create, device(),
                                 value("initial_value", Kind::number, 0).point(UINT64_MAX, {ok}),
                                 out_handle("out_timeline", Type::timeline)));
  entries.push_back(FLAGOS_ENTRY(flagos_timeline_destroy, taken("timeline", Type::timeline)));
  entries.push_back(FLAGOS_ENTRY(flagos_timeline_query, handle("timeline", Type::timeline),
                                 out_value("out_value", 8)));
  entries.push_back(
      FLAGOS_ENTRY(flagos_timeline_signal, handle("timeline", Type::timeline),
                   value("value", Kind::number, above_the_timeline).point(0, {invalid_argument})));
  entries.push_back(FLAGOS_ENTRY(
      flagos_timeline_wait,
      value("count", Kind::number, 1)
          .point(0, {ok})
          .point(65537, {invalid_argument})
          .point(UINT32_MAX, {invalid_argument}),
      in_data("timelines", one_timeline),
      in_data("values", [](Call& call) { return reinterpret_cast<std::uint64_t>(call.keep(8)); }),
      value("mode", Kind::enumeration, FLAGOS_WAIT_MODE_ALL)
          .point(FLAGOS_WAIT_MODE_ANY + 1, {invalid_argument, FLAGOS_STATUS_UNSUPPORTED})
          .point(0x7fffffff, {invalid_argument, FLAGOS_STATUS_UNSUPPORTED})
          .point(0xffffffff, {invalid_argument, FLAGOS_STATUS_UNSUPPORTED}),
      timeout(), out_value("out_index", 4).may_be_null()));
  entries.push_back(FLAGOS_ENTRY(flagos_timeline_fail, fresh("timeline", Type::timeline),
                                 value("status", Kind::enumeration, FLAGOS_STATUS_CANCELLED)
                                     .point(FLAGOS_STATUS_OK, {invalid_argument})
                                     .point(FLAGOS_STATUS_TIMEOUT, {invalid_argument})
                                     .point(FLAGOS_STATUS_NOT_READY, {invalid_argument})));
}

}  // namespace

void describe_streams(std::vector<Entry>& entries) {
  entries.push_back(FLAGOS_ENTRY(flagos_stream_create, device(),
                                 in_struct<flagos_stream_desc_t>("desc").may_be_null(),
                                 out_handle("out_stream", Type::stream)));
  entries.push_back(FLAGOS_ENTRY(flagos_stream_destroy, taken("stream", Type::stream)));
  entries.push_back(FLAGOS_ENTRY(flagos_stream_query, stream(), out_value("out_complete", 4)));
  entries.push_back(FLAGOS_ENTRY(flagos_stream_synchronize, stream(), timeout()));
  entries.push_back(FLAGOS_ENTRY(flagos_stream_wait_event, stream(), event()));
  entries.push_back(FLAGOS_ENTRY(flagos_stream_wait_timeline, stream(),
                                 handle("timeline", Type::timeline),
                                 value("value", Kind::number, 0)));
  entries.push_back(FLAGOS_ENTRY(flagos_stream_signal_timeline, stream(),
                                 fresh("timeline", Type::timeline), value("value", Kind::number, 1))
                        .then(drain));
  entries.push_back(FLAGOS_ENTRY(flagos_stream_launch_host, stream(),
                                 Argument{.name = "function",
                                          .kind = Kind::function,
                                          .valid =
                                              [](Call&) {
                                                return reinterpret_cast<std::uint64_t>(
                                                    &called_by_the_stream);
                                              }},
                                 value("user_data", Kind::user_data, 0))
                        .feature(FLAGOS_FEATURE_HOST_CALLBACK));
  entries.push_back(FLAGOS_ENTRY(flagos_stream_reset, stream()));
  entries.push_back(FLAGOS_ENTRY(flagos_stream_get_device, stream(),
                                 out_value("out_device", sizeof(flagos_device_t*))));
  describe_values(entries);
  describe_events(entries);
  describe_timelines(entries);
}

}  // namespace flagos::conformance
