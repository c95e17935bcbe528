// Rows of the description: topology, memory and events of other processes, native objects, tensors,
// native operators.
#include <unistd.h>

#include <cstring>

#include "conformance/cases/dlpack_layout.hpp"
#include "conformance/cases/entries.hpp"
#include "conformance/cases/native_support.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr auto invalid_argument = FLAGOS_STATUS_INVALID_ARGUMENT;
constexpr auto invalid_handle = FLAGOS_STATUS_INVALID_HANDLE;
constexpr auto not_found = FLAGOS_STATUS_NOT_FOUND;
constexpr auto unsupported = FLAGOS_STATUS_UNSUPPORTED;
constexpr auto unsupported_version = FLAGOS_STATUS_UNSUPPORTED_VERSION;

Argument runtime() { return handle("runtime", Type::runtime); }
Argument device() { return handle("device", Type::device); }

Argument device_index(const char* name) {
  return value(name, Kind::number,
               [](Call& call) { return std::uint64_t{call.world.device_index()}; })
      .point(0x7fffffff, {not_found})
      .point(0xffffffff, {not_found});
}

std::uint64_t keep_bytes(Call& call, const void* bytes, std::size_t size) {
  void* const copy = call.keep(size);
  std::memcpy(copy, bytes, size);
  return reinterpret_cast<std::uint64_t>(copy);
}

// ---- exports ----

// Its descriptor is -1 when the call fails: 0 would be somebody else's.
Argument out_external() {
  Argument argument = out_struct<flagos_external_t>("out_external");
  argument.descriptor_offset = offsetof(flagos_external_t, fd);
  return argument;
}

void close_export(Call& call, flagos_status_t status) {
  if (status == ok) ::close(call.desc<flagos_external_t>("out_external")->fd);
}

Argument external_memory() {
  return {.name = "external",
          .kind = Kind::in_struct,
          .size = sizeof(flagos_external_t),
          .valid = [](Call& call) {
            return keep_bytes(call, &call.world.external_memory(), sizeof(flagos_external_t));
          }};
}
Argument external_event() {
  return {.name = "external",
          .kind = Kind::in_struct,
          .size = sizeof(flagos_external_t),
          .valid = [](Call& call) {
            return keep_bytes(call, &call.world.external_event(), sizeof(flagos_external_t));
          }};
}

void describe_exports(std::vector<Entry>& entries) {
  entries.push_back(FLAGOS_ENTRY(flagos_memory_export, device(),
                                 value("address", Kind::address,
                                       [](Call& call) { return call.world.exportable_memory(); })
                                     .point(0, {invalid_handle})
                                     .point(1, {invalid_handle})
                                     .point(UINT64_MAX, {invalid_handle}),
                                 out_external())
                        .feature(FLAGOS_FEATURE_EXPORT_MEMORY)
                        .then(close_export));
  entries.push_back(
      FLAGOS_ENTRY(flagos_memory_import, device(), external_memory(), out_value("out_address", 8),
                   out_value("out_size_bytes", 8).may_be_null())
          .feature(FLAGOS_FEATURE_EXPORT_MEMORY)
          .then([](Call& call, flagos_status_t status) {
            if (status == ok)
              flagos_memory_free(call.world.device(), *call.desc<flagos_address_t>("out_address"));
          }));
  entries.push_back(FLAGOS_ENTRY(flagos_event_export,
                                 Argument{.name = "event",
                                          .kind = Kind::handle,
                                          .type = Type::event,
                                          .valid =
                                              [](Call& call) {
                                                return reinterpret_cast<std::uint64_t>(
                                                    call.world.exportable_event());
                                              }},
                                 out_external())
                        .feature(FLAGOS_FEATURE_EXPORT_EVENT)
                        .then(close_export));
  entries.push_back(FLAGOS_ENTRY(flagos_event_import, device(), external_event(),
                                 out_handle("out_event", Type::event))
                        .feature(FLAGOS_FEATURE_EXPORT_EVENT));
}

// ---- native objects ----

Argument out_native() { return out_struct<flagos_native_t>("out_native"); }

Argument native(NativeKind kind) {
  return {.name = "native",
          .kind = Kind::in_struct,
          .size = sizeof(flagos_native_t),
          .valid = [kind](Call& call) {
            const flagos_native_t shown = native_of(call.world, kind);
            return keep_bytes(call, &shown, sizeof shown);
          }};
}

Argument wrap_flags() {
  return value("flags", Kind::flags, 0)
      .point(2, {unsupported})
      .point(std::uint64_t{1} << 63, {unsupported});
}

void describe_shown(std::vector<Entry>& entries) {
  const std::set<flagos_status_t> statuses{ok, unsupported};
  entries.push_back(FLAGOS_ENTRY(flagos_device_get_native, device(), out_native()));
  entries.push_back(
      FLAGOS_ENTRY(flagos_stream_get_native, handle("stream", Type::stream), out_native()));
  entries.push_back(
      FLAGOS_ENTRY(flagos_event_get_native, handle("event", Type::event), out_native()));
  entries.push_back(FLAGOS_ENTRY(
      flagos_memory_get_native, device(),
      value("address", Kind::address, [](Call& call) { return call.world.source() + 64; })
          .point(0, {invalid_handle})
          .point(1, {invalid_handle})
          .point(UINT64_MAX, {invalid_handle}),
      out_native()));
  for (std::size_t i = entries.size() - 4; i < entries.size(); ++i)
    entries[i].feature(FLAGOS_FEATURE_NATIVE_OBJECTS).statuses(statuses);
}

// Where the plugin shows no object there is none to wrap, and it refuses the made-up one.
void describe_wrapped(std::vector<Entry>& entries) {
  const std::set<flagos_status_t> statuses{ok, unsupported, invalid_argument};
  entries.push_back(FLAGOS_ENTRY(flagos_device_wrap_native, runtime(), device_index("index"),
                                 native(NativeKind::device), wrap_flags(),
                                 out_handle("out_device", Type::device)));
  entries.push_back(FLAGOS_ENTRY(flagos_stream_wrap_native, device(), native(NativeKind::stream),
                                 wrap_flags(), out_handle("out_stream", Type::stream)));
  entries.push_back(FLAGOS_ENTRY(flagos_event_wrap_native, device(), native(NativeKind::event),
                                 wrap_flags(), out_handle("out_event", Type::event)));
  entries.push_back(
      FLAGOS_ENTRY(flagos_memory_wrap_native, device(), native(NativeKind::memory),
                   value("size_bytes", Kind::size, World::memory_size).point(0, {invalid_argument}),
                   wrap_flags(), out_value("out_address", 8))
          .then([](Call& call, flagos_status_t status) {
            if (status == ok)
              flagos_memory_free(call.world.device(), *call.desc<flagos_address_t>("out_address"));
          }));
  for (std::size_t i = entries.size() - 4; i < entries.size(); ++i)
    entries[i].feature(FLAGOS_FEATURE_NATIVE_OBJECTS).statuses(statuses);
}

// ---- tensors ----

void nothing_to_free(DlVersioned*) {}
void nothing_to_release(void*) {}

// A tensor that somebody else made of the world's memory.
std::uint64_t a_managed_tensor(Call& call) {
  auto* const managed = static_cast<DlVersioned*>(call.keep(sizeof(DlVersioned)));
  const auto tensor = call.world.valid<flagos_tensor_t>();
  managed->major = 1;
  managed->deleter = &nothing_to_free;
  managed->tensor.data = reinterpret_cast<void*>(tensor.address);
  managed->tensor.rank = static_cast<std::int32_t>(tensor.rank);
  managed->tensor.dtype = {2, 32, 1};
  managed->tensor.shape = reinterpret_cast<std::int64_t*>(
      keep_bytes(call, tensor.shape, tensor.rank * sizeof(std::int64_t)));
  flagos_device_info_t info{};
  info.struct_size = sizeof info;
  if (call.world.live()) flagos_device_get_info(call.world.device(), &info);
  managed->tensor.device = {info.dlpack_device_type, info.dlpack_device_id};
  return reinterpret_cast<std::uint64_t>(managed);
}

Argument major() {
  return value("major", Kind::number, 1)
      .point(2, {unsupported_version})
      .point(UINT32_MAX, {unsupported_version});
}

void describe_tensors(std::vector<Entry>& entries) {
  entries.push_back(
      FLAGOS_ENTRY(
          flagos_dlpack_export, device(), in_struct<flagos_tensor_t>("tensor"),
          handle("producer", Type::stream).may_be_null(),
          fresh("consumer", Type::stream).may_be_null(),
          Argument{
              .name = "release",
              .kind = Kind::function,
              .optional = true,
              .valid = [](Call&) { return reinterpret_cast<std::uint64_t>(&nothing_to_release); }},
          value("user_data", Kind::user_data, 0), major(), out_value("out_managed", 8))
          .then([](Call& call, flagos_status_t status) {
            if (status == ok) flagos_dlpack_release(*call.desc<void*>("out_managed"), 1);
          }));
  entries.push_back(FLAGOS_ENTRY(flagos_dlpack_import, device(),
                                 in_data("managed", a_managed_tensor), major(),
                                 out_struct<flagos_tensor_t>("out_tensor")));
  entries.push_back(FLAGOS_ENTRY(flagos_dlpack_release,
                                 in_data("managed", a_managed_tensor).may_be_null(), major()));
}

// ---- native operators ----

void describe_operators(std::vector<Entry>& entries) {
  entries.push_back(FLAGOS_ENTRY(flagos_operator_get_count, device(), out_value("out_count", 4)));
  entries.push_back(FLAGOS_ENTRY(flagos_operator_get_info, device(),
                                 value("index", Kind::number, 0)
                                     .point(0x7fffffff, {not_found})
                                     .point(UINT32_MAX, {not_found}),
                                 out_struct<flagos_operator_info_t>("out_info"))
                        .statuses({ok, not_found}));
  entries.push_back(FLAGOS_ENTRY(flagos_operator_query, device(),
                                 in_struct<flagos_operator_desc_t>("desc"),
                                 out_struct<flagos_operator_support_t>("out_support"))
                        .feature(FLAGOS_FEATURE_OPERATORS)
                        .statuses({ok, not_found}));
  entries.push_back(FLAGOS_ENTRY(flagos_operator_run, handle("stream", Type::stream),
                                 in_struct<flagos_operator_desc_t>("desc"))
                        .feature(FLAGOS_FEATURE_OPERATORS)
                        .statuses({unsupported, not_found}));
}

}  // namespace

void describe_interop(std::vector<Entry>& entries) {
  entries.push_back(FLAGOS_ENTRY(flagos_device_get_link, runtime(), device_index("from_index"),
                                 device_index("to_index"),
                                 out_struct<flagos_link_info_t>("out_info")));
  entries.push_back(FLAGOS_ENTRY(flagos_device_get_locality, runtime(), device_index("index"),
                                 out_struct<flagos_locality_info_t>("out_info")));
  describe_exports(entries);
  describe_shown(entries);
  describe_wrapped(entries);
  describe_tensors(entries);
  describe_operators(entries);
}

}  // namespace flagos::conformance
