// Rows of the struct description: native collectives.
#include <cstddef>

#include "conformance/cases/structs.hpp"

namespace flagos::conformance {
namespace {

Struct communicator_row() {
  Struct row = in_struct_row<flagos_communicator_desc_t>("flagos_communicator_desc_t");
  row.next_offset = offsetof(flagos_communicator_desc_t, next);
  row.flags = {{offsetof(flagos_communicator_desc_t, flags), 8, 0}};
  row.padding = {offsetof(flagos_communicator_desc_t, padding)};
  row.needs = FLAGOS_FEATURE_COLLECTIVE;
  row.use = [](World& world, void* desc) {
    // An id serves once.
    flagos_collective_id_t id{};
    auto* const used = static_cast<flagos_communicator_desc_t*>(desc);
    if (flagos_collective_id_create(world.device(), &id) == FLAGOS_STATUS_OK) used->id = &id;
    flagos_communicator_t* made = nullptr;
    const flagos_status_t status = flagos_communicator_create(world.device(), used, &made);
    flagos_communicator_destroy(made);
    return status;
  };
  return row;
}

bool reduces(const World& world) {
  flagos_collective_support_t support{};
  support.struct_size = sizeof support;
  return flagos_collective_query(world.device(), FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE,
                                 FLAGOS_DTYPE_FLOAT32, FLAGOS_COLLECTIVE_REDUCTION_SUM,
                                 &support) == FLAGOS_STATUS_OK &&
         (support.flags & FLAGOS_COLLECTIVE_SUPPORT_FLAG_RUNS) != 0;
}

Struct collective_row() {
  Struct row = in_struct_row<flagos_collective_desc_t>("flagos_collective_desc_t");
  row.next_offset = offsetof(flagos_collective_desc_t, next);
  row.flags = {{offsetof(flagos_collective_desc_t, flags), 8, 0}};
  row.needs = FLAGOS_FEATURE_COLLECTIVE;
  row.present = reduces;
  row.use = [](World& world, void* desc) {
    return flagos_collective_all_reduce(world.communicator(), world.stream(),
                                        static_cast<flagos_collective_desc_t*>(desc));
  };
  return row;
}

}  // namespace

void describe_collective_structs(std::vector<Struct>& structs) {
  structs.push_back(communicator_row());
  structs.push_back(collective_row());
}

void describe_collective_out_structs(std::vector<Struct>& structs) {
  structs.push_back(out_struct_row<flagos_collective_support_t>(
      "flagos_collective_support_t", [](World& world, auto* support) {
        return flagos_collective_query(world.device(), FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE,
                                       FLAGOS_DTYPE_FLOAT32, FLAGOS_COLLECTIVE_REDUCTION_SUM,
                                       support);
      }));
  structs.back().needs = FLAGOS_FEATURE_COLLECTIVE;
  structs.push_back(out_struct_row<flagos_communicator_info_t>(
      "flagos_communicator_info_t", [](World& world, auto* info) {
        return flagos_communicator_get_info(world.communicator(), info);
      }));
  structs.back().present = [](const World& world) { return world.communicator() != nullptr; };
}

}  // namespace flagos::conformance
