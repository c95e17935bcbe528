// Rows of the description: runtime and device.
#include "conformance/cases/entries.hpp"

namespace flagos::conformance {
namespace {

constexpr auto invalid_argument = FLAGOS_STATUS_INVALID_ARGUMENT;
constexpr auto not_found = FLAGOS_STATUS_NOT_FOUND;

Argument runtime() { return handle("runtime", Type::runtime); }
Argument device() { return handle("device", Type::device); }

Argument device_index() {
  return value("index", Kind::number,
               [](Call& call) { return std::uint64_t{call.world.device_index()}; })
      .point(0x7fffffff, {not_found})
      .point(0xffffffff, {not_found});
}

// Stands for what a library keeps with a device.
char attached;
std::uint64_t an_address(Call&) { return reinterpret_cast<std::uint64_t>(&attached); }
void keep_attachment(flagos_device_t*, void*) {}

Argument abi_version() {
  return value("abi_version", Kind::number, FLAGOS_ABI_VERSION)
      .point(FLAGOS_MAKE_VERSION(FLAGOS_ABI_MAJOR + 1, 0), {FLAGOS_STATUS_UNSUPPORTED_VERSION})
      .point(FLAGOS_MAKE_VERSION(FLAGOS_ABI_MAJOR, 0xffff), {FLAGOS_STATUS_UNSUPPORTED_VERSION})
      .point(0, {FLAGOS_STATUS_UNSUPPORTED_VERSION});
}

void describe_log(std::vector<Entry>& entries) {
  entries.push_back(FLAGOS_ENTRY(flagos_set_log_callback, value("callback", Kind::user_data, 0),
                                 value("user_data", Kind::user_data, 0),
                                 value("min_level", Kind::enumeration, FLAGOS_LOG_LEVEL_ERROR)
                                     .point(FLAGOS_LOG_LEVEL_OFF + 1, {invalid_argument})
                                     .point(0x7fffffff, {invalid_argument})
                                     .point(0xffffffff, {invalid_argument})));
}

}  // namespace

void describe_runtime(std::vector<Entry>& entries) {
  describe_log(entries);
  entries.push_back(
      FLAGOS_ENTRY(flagos_get_version, out_struct<flagos_version_info_t>("out_info")));
  entries.push_back(FLAGOS_ENTRY(flagos_runtime_create,
                                 in_struct<flagos_runtime_desc_t>("desc").may_be_null(),
                                 out_handle("out_runtime", Type::runtime)));
  entries.push_back(FLAGOS_ENTRY(flagos_runtime_destroy, taken("runtime", Type::runtime)));
  entries.push_back(FLAGOS_ENTRY(flagos_runtime_abandon, taken("runtime", Type::runtime))
                        .statuses({FLAGOS_STATUS_NOT_PERMITTED}));
  entries.push_back(
      FLAGOS_ENTRY(flagos_runtime_add_plugin, fresh("runtime", Type::runtime),
                   in_string("path", [](Call& call) { return call.world.plugin_path(); })));
  entries.push_back(
      FLAGOS_ENTRY(flagos_runtime_get_candidate_count, runtime(), out_value("out_count", 4)));
  entries.push_back(FLAGOS_ENTRY(
      flagos_runtime_get_candidate, runtime(),
      value("index", Kind::number, 0).point(0x7fffffff, {not_found}).point(0xffffffff, {not_found}),
      out_struct<flagos_candidate_info_t>("out_info")));
  entries.push_back(FLAGOS_ENTRY(
      flagos_get_proc, in_string("name", [](Call&) { return std::string("flagos_last_error"); }),
      abi_version(), out_value("out_proc", sizeof(flagos_proc_t))));

  entries.push_back(FLAGOS_ENTRY(flagos_device_get_count, runtime(), out_value("out_count", 4)));
  entries.push_back(FLAGOS_ENTRY(flagos_device_describe, runtime(), device_index(),
                                 out_struct<flagos_device_info_t>("out_info")));
  entries.push_back(FLAGOS_ENTRY(flagos_device_find, runtime(),
                                 in_string("id", [](Call& call) { return call.world.device_id(); }),
                                 out_value("out_index", 4)));
  entries.push_back(FLAGOS_ENTRY(flagos_device_open, runtime(), device_index(),
                                 out_handle("out_device", Type::device)));
  entries.push_back(FLAGOS_ENTRY(flagos_device_close, taken("device", Type::device)));
  entries.push_back(
      FLAGOS_ENTRY(flagos_device_get_info, device(), out_struct<flagos_device_info_t>("out_info")));
  entries.push_back(FLAGOS_ENTRY(flagos_device_get_feature, device(),
                                 value("feature", Kind::enumeration, FLAGOS_FEATURE_GRAPH)
                                     .point(FLAGOS_FEATURE_COUNT, {invalid_argument})
                                     .point(0x7fffffff, {invalid_argument})
                                     .point(0xffffffff, {invalid_argument}),
                                 out_value("out_support", 4)));
  entries.push_back(FLAGOS_ENTRY(flagos_device_query_memory, device(),
                                 out_value("out_free_bytes", 8), out_value("out_total_bytes", 8)));
  entries.push_back(FLAGOS_ENTRY(flagos_device_query_status, device()));
  entries.push_back(FLAGOS_ENTRY(flagos_device_synchronize, device(),
                                 value("timeout_ns", Kind::timeout, FLAGOS_TIMEOUT_INFINITE)));
  entries.push_back(FLAGOS_ENTRY(flagos_device_recover, device()).feature(FLAGOS_FEATURE_RECOVER));
  entries.push_back(FLAGOS_ENTRY(
      flagos_device_attach, device(), in_data("key", an_address), in_data("attachment", an_address),
      Argument{.name = "release",
               .kind = Kind::function,
               .optional = false,
               .valid = [](Call&) { return reinterpret_cast<std::uint64_t>(&keep_attachment); }},
      out_value("out_attachment", sizeof(void*))));
  entries.push_back(FLAGOS_ENTRY(flagos_device_get_attachment, device(), in_data("key", an_address),
                                 out_value("out_attachment", sizeof(void*))));
  entries.push_back(FLAGOS_ENTRY(flagos_device_get_table, device(),
                                 out_value("out_table", sizeof(void*)),
                                 out_value("out_object", sizeof(void*)).may_be_null()));
  entries.push_back(FLAGOS_ENTRY(flagos_stream_get_plugin_object, handle("stream", Type::stream),
                                 out_value("out_object", sizeof(void*))));
  entries.push_back(FLAGOS_ENTRY(flagos_event_get_plugin_object, handle("event", Type::event),
                                 out_value("out_object", sizeof(void*))));
  entries.push_back(FLAGOS_ENTRY(flagos_kernel_get_plugin_object, handle("kernel", Type::kernel),
                                 out_value("out_object", sizeof(void*))));
}

}  // namespace flagos::conformance
