// What a bug may do to the members of a structure that goes through an entry.
#pragma once

#include <vector>

#include "conformance/mutants/entry.hpp"

namespace flagos::conformance::mutants {

struct NamedChange {
  const char* name;
  Change apply;
};

// Of structures that go in, and of those that come out; empty for a type that has no list.
template <typename Struct>
std::vector<NamedChange> changes_in() {
  return {};
}
template <typename Struct>
std::vector<NamedChange> changes_out() {
  return {};
}

#define FLAGOS_CHANGES(direction, type) \
  template <>                           \
  std::vector<NamedChange> changes_##direction<type>();
#include "conformance/mutants/changes.inc"
#undef FLAGOS_CHANGES

}  // namespace flagos::conformance::mutants
