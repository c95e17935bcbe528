// The description of every struct that crosses the ABI by pointer: where its growing parts are, and
// a call that uses it.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "conformance/cases/entry_world.hpp"

namespace flagos::conformance {

// A member of flags: bits beyond `known` are unknown.
struct FlagsMember {
  std::size_t offset;
  std::size_t size;
  std::uint64_t known;
};

// A member that holds one of a closed list: everything in `unknown` is refused.
struct EnumMember {
  std::size_t offset;
  std::vector<std::int32_t> unknown;
  std::set<flagos_status_t> statuses;
};

struct Struct {
  std::string name;      // the type, and the entry where it is not the only one
  std::size_t size = 0;  // of version 1.0
  bool out = false;
  int next_offset = -1;  // of `next`; -1: it has no chain
  std::vector<FlagsMember> flags = {};
  std::vector<std::size_t> padding = {};  // offsets of 32-bit members that must be 0
  std::vector<EnumMember> enums = {};
  flagos_feature_t needs = FLAGOS_FEATURE_COUNT;
  // Whether there is something to use it with, where the feature alone does not say so.
  std::function<bool(const World&)> present = {};
  std::function<std::vector<std::uint8_t>(World&)> valid = {};
  // Hands this memory to the function that takes the struct, and takes back what the call did.
  std::function<flagos_status_t(World&, void*)> use = {};
};

// Whether a valid struct is accepted; else the call gives UNSUPPORTED.
bool usable(const World& world, const Struct& row);

const std::vector<Struct>& in_structs();
const std::vector<Struct>& out_structs();

void describe_graph_structs(std::vector<Struct>& structs);
void describe_interop_structs(std::vector<Struct>& structs);
void describe_interop_out_structs(std::vector<Struct>& structs);
void describe_collective_structs(std::vector<Struct>& structs);
void describe_collective_out_structs(std::vector<Struct>& structs);

template <class Desc>
Struct in_struct_row(const char* name) {
  Struct row;
  row.name = name;
  row.size = sizeof(Desc);
  row.valid = [](World& world) {
    const auto desc = world.valid<Desc>();
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(&desc);
    return std::vector<std::uint8_t>(bytes, bytes + sizeof desc);
  };
  return row;
}

template <class Info>
Struct out_struct_row(const char* name, flagos_status_t (*use)(World&, Info*)) {
  Struct row;
  row.name = name;
  row.size = sizeof(Info);
  row.out = true;
  row.use = [use](World& world, void* info) { return use(world, static_cast<Info*>(info)); };
  return row;
}

}  // namespace flagos::conformance
