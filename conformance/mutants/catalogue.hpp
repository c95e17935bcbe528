// The list of all mutants.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "conformance/mutants/entry.hpp"

namespace flagos::conformance::mutants {

enum class Class { baseline, generic, seeded };

struct Mutant {
  std::string id;  // "memory.copy/minus-size", "M11", "slow"
  Class kind = Class::generic;
  std::string entry;               // "memory.copy"; "" for a baseline
  std::string bug;                 // in a sentence
  std::vector<std::string> cases;  // that are tried first; one of them must find a seeded mutant

  // How it is switched on.
  std::size_t slot = slot_count;  // its function stands here
  AnyFunction function = nullptr;
  Change change = nullptr;
  Hooks hooks;  // with these every entry is hooked
  void (*prepare)(Tables&) = nullptr;
  bool wraps_host = false;
  bool shows_in_refusals =
      false;  // it is the plugin that it wraps until the entry says something else than OK
  bool full_size = false;  // its cases need their full sizes, and no others look for it
};

// In a fixed order; ids are unique and stay what they are.
const std::vector<Mutant>& all_mutants();
// NULL when there is none. "crash@N" and "hang@N" exist for every N and stand in the list once.
const Mutant* find_mutant(std::string_view id);
std::string_view class_name(Class kind);

// Where the parts of the list come from.
void add_generic(std::vector<Mutant>& list);
void add_host_mutants(std::vector<Mutant>& list);
void add_seeded_memory(std::vector<Mutant>& list);
void add_seeded_order(std::vector<Mutant>& list);
void add_seeded_objects(std::vector<Mutant>& list);
void add_seeded_collective(std::vector<Mutant>& list);
void add_baselines(std::vector<Mutant>& list);

// A seeded mutant of one entry.
template <typename Slot>
Mutant seeded(const char* id, const char* bug, std::vector<std::string> cases,
              typename Entry<Slot>::Function function) {
  Mutant mutant;
  mutant.id = id;
  mutant.kind = Class::seeded;
  mutant.entry = Slot::name;
  mutant.bug = bug;
  mutant.cases = std::move(cases);
  mutant.slot = Slot::index;
  mutant.function = reinterpret_cast<AnyFunction>(function);
  return mutant;
}

}  // namespace flagos::conformance::mutants
