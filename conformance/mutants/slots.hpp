// Every entry of a plugin's tables as a type, and all of them in a row.
#pragma once

#include <flagos_plugin.h>

#include <cstddef>
#include <span>
#include <string_view>
#include <type_traits>

namespace flagos::conformance::mutants {

// What an entry is for. Which mutants make sense follows from it.
enum class Kind { query, create, destroy, submit, wait, set };

// Our copies of the wrapped plugin's tables; core is given these.
struct Tables {
  flagos_device_table_t device;
  flagos_memory_table_t memory;
  flagos_stream_table_t stream;
  flagos_event_table_t event;
  flagos_module_table_t module;
  flagos_kernel_table_t kernel;
  flagos_memory_pool_table_t memory_pool;
  flagos_timeline_table_t timeline;
  flagos_graph_table_t graph;
  flagos_profiling_table_t profiling;
  flagos_interop_table_t interop;
  flagos_topology_table_t topology;
  flagos_operators_table_t operators;
  flagos_virtual_memory_table_t virtual_memory;
  flagos_collective_table_t collective;
};

enum class SlotIndex {
#define FLAGOS_ENTRY(group, slot, roles, kind) group##_##slot,
#include "conformance/mutants/entries.inc"
#undef FLAGOS_ENTRY
  count
};
inline constexpr std::size_t slot_count = static_cast<std::size_t>(SlotIndex::count);

// A trace has three bytes for each entry: it was called, it said something else than OK, it is there.
inline constexpr std::size_t trace_parts = 3;

// slot::memory_copy and so on.
namespace slot {
#define FLAGOS_ENTRY(group_name, slot_name, role_letters, slot_kind)                            \
  struct group_name##_##slot_name {                                                             \
    using Function = std::remove_pointer_t<decltype(flagos_##group_name##_table_t::slot_name)>; \
    static constexpr std::string_view name = #group_name "." #slot_name;                        \
    static constexpr std::string_view roles = role_letters;                                     \
    static constexpr Kind kind = Kind::slot_kind;                                               \
    static constexpr std::size_t index =                                                        \
        static_cast<std::size_t>(SlotIndex::group_name##_##slot_name);                          \
    static Function*& of(Tables& tables) { return tables.group_name.slot_name; }                \
  };
#include "conformance/mutants/entries.inc"
#undef FLAGOS_ENTRY
}  // namespace slot

// A function of any entry; cast back before it is called.
using AnyFunction = void (*)();

// An entry at run time.
struct Slot {
  std::string_view name;  // "memory.copy"
  std::string_view roles;
  Kind kind;
  AnyFunction (*get)(Tables& tables);
  void (*put)(Tables& tables, AnyFunction function);
  void (*set_next)(AnyFunction function);  // what the mutants of this entry call
  AnyFunction hooked;                      // calls the hooks, then the wrapped function
};
std::span<const Slot> slots();

}  // namespace flagos::conformance::mutants
