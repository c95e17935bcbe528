// Native collectives: a call that was checked, and how calls reach the plugin, alone and in groups.
#pragma once

#include <flagos_plugin.h>

#include <vector>

#include "core/communicator.hpp"

namespace flagos::core {

// One operation of one rank. The desc is of this version's size and has no chain.
struct CollectiveCall {
  Ref<Communicator> communicator;
  flagos_collective_operation_t operation;
  flagos_collective_desc_t desc;
};

// The plugin's function for an operation.
flagos_collective_function_t collective_slot(const flagos_collective_table_t& table,
                                             flagos_collective_operation_t operation);
flagos_collective_function_t& collective_slot(flagos_collective_table_t& table,
                                              flagos_collective_operation_t operation);
const char* collective_name(flagos_collective_operation_t operation);

// Calls of one stream, one operation or one group: gives them to the plugin.
flagos_status_t issue_collectives(Stream& stream, const std::vector<CollectiveCall>& calls);

}  // namespace flagos::core
