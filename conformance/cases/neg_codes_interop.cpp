// Rows of neg.error_code_exact: several devices, memory and events of other processes, native objects,
// tensors, native operators.
#include <cstring>

#include "conformance/cases/dlpack_layout.hpp"
#include "conformance/cases/neg_codes.hpp"

namespace flagos::conformance {
namespace {

constexpr auto invalid_argument = FLAGOS_STATUS_INVALID_ARGUMENT;
constexpr auto invalid_handle = FLAGOS_STATUS_INVALID_HANDLE;
constexpr auto invalid_size = FLAGOS_STATUS_INVALID_STRUCT_SIZE;
constexpr auto unsupported = FLAGOS_STATUS_UNSUPPORTED;
constexpr auto unsupported_version = FLAGOS_STATUS_UNSUPPORTED_VERSION;
constexpr auto not_found = FLAGOS_STATUS_NOT_FOUND;

void topology_rows(std::vector<CodeRow>& rows) {
  const auto past = [](const char* argument) {
    return [=](Call& call) {
      std::uint32_t count = 0;
      flagos_device_get_count(call.world.runtime(), &count);
      call[argument] = count;
    };
  };
  rows.push_back(
      {"flagos_device_get_link", "from one past the end", past("from_index"), not_found});
  rows.push_back({"flagos_device_get_link", "to one past the end", past("to_index"), not_found});
  rows.push_back({"flagos_device_get_locality", "one past the end", past("index"), not_found});
}

// A stream of the spare device, which lives as long as the call.
std::uint64_t spare_stream(Call& call) {
  flagos_stream_t* stream = nullptr;
  flagos_stream_create(call.world.spare_device(), nullptr, &stream);
  call.undo([stream] { flagos_stream_destroy(stream); });
  return reinterpret_cast<std::uint64_t>(stream);
}

void two_device_rows(std::vector<CodeRow>& rows) {
  const char* const entry = "flagos_memory_copy_peer";
  const std::uint64_t size = World::memory_size;
  rows.push_back(
      {entry, "one byte past the target", set("size_bytes", size / 2 + 1), invalid_argument});
  rows.push_back({entry, "one byte past the source",
                  [=](Call& call) {
                    call["source"] += size - 8;
                    call["size_bytes"] = 9;
                  },
                  invalid_argument});
  rows.push_back(
      {entry, "a range that wraps around", set("size_bytes", UINT64_MAX - 8), invalid_argument});
  rows.push_back({entry, "a stream of neither device",
                  [](Call& call) {
                    call["stream"] = spare_stream(call);
                    call["source_device"] = reinterpret_cast<std::uint64_t>(call.world.device());
                    call["source"] = call.world.source();
                  },
                  invalid_argument});
  rows.push_back({"flagos_event_record", "a stream of another opening",
                  [](Call& call) { call["stream"] = spare_stream(call); }, invalid_argument});
}

void export_rows(std::vector<CodeRow>& rows) {
  rows.push_back({"flagos_memory_export", "the inside of an allocation",
                  [](Call& call) { call["address"] += 64; }, invalid_handle});
  rows.push_back({"flagos_memory_export", "memory that is not exportable",
                  [](Call& call) { call["address"] = call.world.memory(); }, invalid_argument});
  rows.push_back(
      {"flagos_memory_export", "host memory",
       [](Call& call) { call["address"] = reinterpret_cast<std::uint64_t>(call.keep(64)); },
       invalid_handle});
  rows.push_back({"flagos_event_export", "an event that is not exportable",
                  [](Call& call) { call["event"] = call.world.handle(Type::event); },
                  invalid_argument});
  using External = flagos_external_t;
  for (const char* const entry : {"flagos_memory_import", "flagos_event_import"}) {
    for (const std::size_t byte :
         {std::size_t{0}, sizeof(External::blob) / 2, sizeof(External::blob) - 1})
      rows.push_back(
          {entry, "a bit of byte " + std::to_string(byte) + " of the blob",
           change<External>("external", [=](External& external) { external.blob[byte] ^= 1; }),
           invalid_handle});
    for (const int fd : {-1, 0, 1'000'000})
      rows.push_back({entry, "descriptor " + std::to_string(fd),
                      change<External>("external", [=](External& external) { external.fd = fd; }),
                      invalid_handle});
    rows.push_back(
        {entry, "struct_size 8",
         change<External>("external", [](External& external) { external.struct_size = 8; }),
         invalid_size});
  }
  rows.push_back({"flagos_event_import", "an export of memory",
                  [](Call& call) {
                    if (call.world.has(FLAGOS_FEATURE_EXPORT_MEMORY))
                      *call.desc<External>("external") = call.world.external_memory();
                    else
                      call.desc<External>("external")->fd = -1;
                  },
                  invalid_handle});
  rows.push_back({"flagos_memory_import", "an export of an event",
                  [](Call& call) {
                    if (call.world.has(FLAGOS_FEATURE_EXPORT_EVENT))
                      *call.desc<External>("external") = call.world.external_event();
                    else
                      call.desc<External>("external")->fd = -1;
                  },
                  invalid_handle});
}

void native_rows(std::vector<CodeRow>& rows) {
  using Native = flagos_native_t;
  for (const char* const entry : {"flagos_device_wrap_native", "flagos_stream_wrap_native",
                                  "flagos_event_wrap_native", "flagos_memory_wrap_native"}) {
    for (const std::uint32_t count : {0u, 7u, UINT32_MAX})
      rows.push_back(
          {entry, std::to_string(count) + " handles",
           change<Native>("native", [=](Native& native) { native.handle_count = count; }),
           invalid_argument});
    rows.push_back(
        {entry, "a type without an end",
         change<Native>("native",
                        [](Native& native) { std::memset(native.type, 'x', sizeof native.type); }),
         invalid_argument});
    rows.push_back({entry, "a type of nobody",
                    change<Native>("native",
                                   [](Native& native) {
                                     std::memset(native.type, 0, sizeof native.type);
                                     std::strcpy(native.type, "no_such_type");
                                   }),
                    invalid_argument});
    rows.push_back({entry, "struct_size 4",
                    change<Native>("native", [](Native& native) { native.struct_size = 4; }),
                    invalid_size});
    rows.push_back({entry, "flags 4", set("flags", 4), unsupported});
  }
}

void tensor_rows(std::vector<CodeRow>& rows) {
  using Tensor = flagos_tensor_t;
  const auto tensor_row = [&](const char* what, auto change_tensor,
                              flagos_status_t status = invalid_argument) {
    rows.push_back({"flagos_dlpack_export", what, change<Tensor>("tensor", change_tensor), status});
  };
  static const std::int64_t negative[] = {-1}, far_too_many[] = {INT64_MAX};
  tensor_row("rank 65", [](Tensor& tensor) { tensor.rank = 65; });
  tensor_row("no shape", [](Tensor& tensor) { tensor.shape = nullptr; });
  tensor_row("a negative shape", [](Tensor& tensor) {
    tensor.rank = 1;
    tensor.shape = negative;
  });
  tensor_row("more elements than any memory has", [](Tensor& tensor) {
    tensor.rank = 1;
    tensor.shape = far_too_many;
    tensor.strides = nullptr;
  });
  tensor_row(
      "struct_size 4", [](Tensor& tensor) { tensor.struct_size = 4; }, invalid_size);
  const auto managed_row = [&](const char* what, auto change_managed, flagos_status_t status) {
    rows.push_back(
        {"flagos_dlpack_import", what, change<DlVersioned>("managed", change_managed), status});
  };
  managed_row(
      "on another device", [](DlVersioned& managed) { managed.tensor.device.type += 1; },
      invalid_argument);
  managed_row(
      "rank 65", [](DlVersioned& managed) { managed.tensor.rank = 65; }, invalid_argument);
  managed_row(
      "a rank below 0", [](DlVersioned& managed) { managed.tensor.rank = -1; }, invalid_argument);
  managed_row(
      "elements of 0 bits", [](DlVersioned& managed) { managed.tensor.dtype.bits = 0; },
      invalid_argument);
  managed_row(
      "of major 2", [](DlVersioned& managed) { managed.major = 2; }, unsupported_version);
}

void operator_rows(std::vector<CodeRow>& rows) {
  using Desc = flagos_operator_desc_t;
  rows.push_back({"flagos_operator_get_info", "one past the end",
                  [](Call& call) {
                    std::uint32_t count = 0;
                    flagos_operator_get_count(call.world.device(), &count);
                    call["index"] = count;
                  },
                  not_found});
  for (const char* const entry : {"flagos_operator_query", "flagos_operator_run"}) {
    const auto row = [&](const char* what, auto change_desc, flagos_status_t status) {
      rows.push_back({entry, what, change<Desc>("desc", change_desc), status});
    };
    row(
        "index past the end", [](Desc& desc) { desc.index = UINT32_MAX; }, not_found);
    row(
        "flags 1", [](Desc& desc) { desc.flags = 1; }, unsupported);
    row(
        "struct_size 4", [](Desc& desc) { desc.struct_size = 4; }, invalid_size);
  }
}

}  // namespace

std::vector<CodeRow> interop_code_rows(const CodeFacts&) {
  std::vector<CodeRow> rows;
  topology_rows(rows);
  two_device_rows(rows);
  export_rows(rows);
  native_rows(rows);
  tensor_rows(rows);
  operator_rows(rows);
  return rows;
}

}  // namespace flagos::conformance
