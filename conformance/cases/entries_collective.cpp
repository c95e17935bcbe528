// Rows of the description: native collectives. The world's communicator has one rank.
#include <array>

#include "conformance/cases/entries.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr auto invalid_argument = FLAGOS_STATUS_INVALID_ARGUMENT;
constexpr auto unsupported = FLAGOS_STATUS_UNSUPPORTED;

Argument communicator() { return handle("communicator", Type::communicator); }

void describe_communicators(std::vector<Entry>& entries) {
  entries.push_back(FLAGOS_ENTRY(flagos_collective_id_create, handle("device", Type::device),
                                 out_value("out_id", sizeof(flagos_collective_id_t)))
                        .feature(FLAGOS_FEATURE_COLLECTIVE));
  entries.push_back(FLAGOS_ENTRY(flagos_communicator_create, handle("device", Type::device),
                                 in_struct<flagos_communicator_desc_t>("desc"),
                                 out_handle("out_communicator", Type::communicator))
                        .feature(FLAGOS_FEATURE_COLLECTIVE));
  entries.push_back(
      FLAGOS_ENTRY(
          flagos_communicator_split, communicator(),
          value("color", Kind::number, 0).point(static_cast<std::uint32_t>(-2), {invalid_argument}),
          value("key", Kind::number, 0), out_handle("out_communicator", Type::communicator))
          .statuses({ok, unsupported}));
  entries.push_back(
      FLAGOS_ENTRY(flagos_communicator_abort, fresh("communicator", Type::communicator))
          .statuses({ok, unsupported}));
  entries.push_back(
      FLAGOS_ENTRY(flagos_communicator_destroy, taken("communicator", Type::communicator)));
  entries.push_back(FLAGOS_ENTRY(flagos_communicator_query_error, communicator(),
                                 out_value("out_status", sizeof(flagos_status_t))));
  entries.push_back(FLAGOS_ENTRY(flagos_communicator_get_info, communicator(),
                                 out_struct<flagos_communicator_info_t>("out_info")));
  entries.push_back(
      FLAGOS_ENTRY(flagos_communicator_register, fresh("communicator", Type::communicator),
                   value("address", Kind::address, [](Call& call) { return call.world.source(); }),
                   value("size_bytes", Kind::size, 64).point(0, {invalid_argument}))
          .statuses({ok, unsupported}));
  entries.push_back(
      FLAGOS_ENTRY(flagos_communicator_deregister, communicator(),
                   value("address", Kind::address, [](Call& call) { return call.world.source(); }))
          .statuses({FLAGOS_STATUS_NOT_FOUND}));
}

template <auto Function>
void describe_operation(std::vector<Entry>& entries, const char* name, bool is_message) {
  entries.push_back(describe_entry<Function>(name, communicator(), handle("stream", Type::stream),
                                             in_struct<flagos_collective_desc_t>("desc"))
                        .statuses(is_message ? std::set<flagos_status_t>{invalid_argument}
                                             : std::set<flagos_status_t>{ok, unsupported}));
}
#define FLAGOS_OPERATION(name, is_message) \
  describe_operation<&flagos_collective_##name>(entries, "flagos_collective_" #name, is_message)

void describe_operations(std::vector<Entry>& entries) {
  FLAGOS_OPERATION(all_reduce, false);
  FLAGOS_OPERATION(reduce, false);
  FLAGOS_OPERATION(reduce_scatter, false);
  FLAGOS_OPERATION(broadcast, false);
  FLAGOS_OPERATION(all_gather, false);
  FLAGOS_OPERATION(gather, false);
  FLAGOS_OPERATION(scatter, false);
  FLAGOS_OPERATION(all_to_all, false);
  // To itself, and in no group.
  FLAGOS_OPERATION(send, true);
  FLAGOS_OPERATION(receive, true);
}
#undef FLAGOS_OPERATION

}  // namespace

void describe_collectives(std::vector<Entry>& entries) {
  entries.push_back(FLAGOS_ENTRY(flagos_collective_query, handle("device", Type::device),
                                 value("operation", Kind::enumeration, 0)
                                     .point(FLAGOS_COLLECTIVE_OPERATION_COUNT, {invalid_argument})
                                     .point(UINT32_MAX, {invalid_argument}),
                                 value("dtype", Kind::number, FLAGOS_DTYPE_FLOAT32)
                                     .point(FLAGOS_DTYPE_NONE, {invalid_argument}),
                                 value("reduction", Kind::enumeration, 0)
                                     .point(9, {invalid_argument})
                                     .point(UINT32_MAX, {invalid_argument}),
                                 out_struct<flagos_collective_support_t>("out_support"))
                        .feature(FLAGOS_FEATURE_COLLECTIVE));
  describe_communicators(entries);
  describe_operations(entries);
  entries.push_back(
      FLAGOS_ENTRY(flagos_collective_group_begin).then([](Call&, flagos_status_t status) {
        if (status == ok) flagos_collective_group_end();
      }));
  entries.push_back(
      FLAGOS_ENTRY(flagos_collective_group_end).statuses({FLAGOS_STATUS_NOT_PERMITTED}));
}

}  // namespace flagos::conformance
