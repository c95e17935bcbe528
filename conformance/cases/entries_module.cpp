// Rows of the description: modules, blobs, kernels.
#include "conformance/cases/entries.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr auto invalid_argument = FLAGOS_STATUS_INVALID_ARGUMENT;
constexpr auto not_found = FLAGOS_STATUS_NOT_FOUND;
constexpr auto unsupported = FLAGOS_STATUS_UNSUPPORTED;
constexpr auto too_small = FLAGOS_STATUS_BUFFER_TOO_SMALL;

Argument device() { return handle("device", Type::device); }
Argument module() { return handle("module", Type::module); }
Argument kernel() { return handle("kernel", Type::kernel); }
Argument index() {
  return value("index", Kind::number, 0)
      .point(0x7fffffff, {not_found})
      .point(UINT32_MAX, {not_found});
}

// Room for the answer and more; the size comes from the argument in front, so both stay together.
Argument capacity_for_image() {
  return value("capacity_bytes", Kind::size,
               [](Call& call) { return call.world.image().size() * 2 + 65536; });
}
std::uint64_t room(Call& call) {
  return reinterpret_cast<std::uint64_t>(call.keep(call.values.back(), 0xcc));
}
Argument buffer(const char* name) {
  return {.name = name, .kind = Kind::out_buffer, .valid = room};
}

void describe_blobs(std::vector<Entry>& entries) {
  // The suite has no source in every format: what counts is that a valid call is refused for its
  // contents only.
  entries.push_back(
      FLAGOS_ENTRY(flagos_module_compile, device(), in_struct<flagos_module_desc_t>("desc"),
                   out_handle("out_blob", Type::blob))
          .feature(FLAGOS_FEATURE_COMPILE)
          .statuses({ok, unsupported, FLAGOS_STATUS_COMPILE_FAILED, FLAGOS_STATUS_INVALID_IMAGE})
          .then([](Call& call, flagos_status_t status) {
            if (status == FLAGOS_STATUS_COMPILE_FAILED)
              flagos_blob_destroy(*call.desc<flagos_blob_t*>("out_blob"));
          }));
  entries.push_back(FLAGOS_ENTRY(
      flagos_blob_get_data, handle("blob", Type::blob), out_value("out_data", sizeof(void*)),
      out_value("out_size_bytes", 8), out_value("out_format", sizeof(char*)).may_be_null()));
  entries.push_back(FLAGOS_ENTRY(flagos_blob_get_log, handle("blob", Type::blob),
                                 out_value("out_text", sizeof(char*))));
  entries.push_back(FLAGOS_ENTRY(flagos_blob_destroy, taken("blob", Type::blob)));
}

void describe_kernels(std::vector<Entry>& entries) {
  entries.push_back(
      FLAGOS_ENTRY(flagos_kernel_get_info, kernel(), out_struct<flagos_kernel_info_t>("out_info")));
  entries.push_back(FLAGOS_ENTRY(flagos_kernel_get_parameter, kernel(), index(),
                                 out_value("out_parameter", sizeof(flagos_parameter_t)))
                        .statuses({ok, not_found}));
  entries.push_back(FLAGOS_ENTRY(flagos_kernel_launch, handle("stream", Type::stream), kernel(),
                                 in_struct<flagos_launch_desc_t>("desc")));
  entries.push_back(
      FLAGOS_ENTRY(
          flagos_kernel_get_occupancy, kernel(),
          value("block_threads", Kind::number, 1)
              .point(UINT32_MAX, {invalid_argument, unsupported}),
          value("shared_bytes", Kind::size, 0).point(UINT32_MAX, {invalid_argument, unsupported}),
          out_value("out_blocks", 4))
          .statuses({ok, unsupported}));
  entries.push_back(FLAGOS_ENTRY(flagos_kernel_suggest_block, kernel(),
                                 value("shared_bytes", Kind::size, 0),
                                 out_value("out_block_threads", 4))
                        .statuses({ok, unsupported}));
  entries.push_back(FLAGOS_ENTRY(flagos_kernel_prepare, kernel(),
                                 in_struct<flagos_launch_desc_t>("desc"),
                                 out_handle("out_prepared", Type::prepared))
                        .feature(FLAGOS_FEATURE_PREPARED_LAUNCH));
  entries.push_back(FLAGOS_ENTRY(flagos_kernel_launch_prepared, handle("stream", Type::stream),
                                 handle("prepared", Type::prepared))
                        .feature(FLAGOS_FEATURE_PREPARED_LAUNCH));
  entries.push_back(FLAGOS_ENTRY(flagos_prepared_destroy, taken("prepared", Type::prepared)));
}

}  // namespace

void describe_modules(std::vector<Entry>& entries) {
  entries.push_back(
      FLAGOS_ENTRY(flagos_module_get_format_count, device(), out_value("out_count", 4)));
  entries.push_back(FLAGOS_ENTRY(flagos_module_get_format, device(), index(),
                                 out_struct<flagos_format_info_t>("out_info")));
  describe_blobs(entries);
  entries.push_back(FLAGOS_ENTRY(flagos_module_load, device(),
                                 in_struct<flagos_module_desc_t>("desc"),
                                 out_handle("out_module", Type::module)));
  entries.push_back(FLAGOS_ENTRY(flagos_module_unload, taken("module", Type::module)));
  entries.push_back(FLAGOS_ENTRY(flagos_module_get_log, module(),
                                 capacity_for_image().point(0, {ok}), buffer("text"),
                                 out_value("out_size_bytes", 8)));
  entries.push_back(FLAGOS_ENTRY(flagos_module_get_kernel, module(),
                                 in_struct<flagos_kernel_desc_t>("desc"),
                                 out_handle("out_kernel", Type::kernel)));
  entries.push_back(
      FLAGOS_ENTRY(flagos_module_get_kernel_count, module(), out_value("out_count", 4))
          .statuses({ok, unsupported}));
  entries.push_back(FLAGOS_ENTRY(flagos_module_get_kernel_name, module(), index(),
                                 out_value("out_name", sizeof(char*)))
                        .statuses({ok, unsupported, not_found}));
  entries.push_back(FLAGOS_ENTRY(flagos_module_get_global, module(),
                                 in_string("name", [](Call&) { return std::string("a_global"); }),
                                 out_value("out_address", 8), out_value("out_size_bytes", 8))
                        .feature(FLAGOS_FEATURE_MODULE_GLOBAL)
                        .statuses({ok, not_found}));
  entries.push_back(FLAGOS_ENTRY(flagos_module_get_binary, module(),
                                 capacity_for_image().point(0, {ok}).point(1, {too_small}),
                                 buffer("data"), out_value("out_size_bytes", 8))
                        .statuses({ok, unsupported}));
  describe_kernels(entries);
}

}  // namespace flagos::conformance
