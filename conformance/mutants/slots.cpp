#include "conformance/mutants/slots.hpp"

#include "conformance/mutants/entry.hpp"

namespace flagos::conformance::mutants {
namespace {

template <typename S>
Slot describe() {
  return {S::name,
          S::roles,
          S::kind,
          [](Tables& tables) { return reinterpret_cast<AnyFunction>(S::of(tables)); },
          [](Tables& tables, AnyFunction function) {
            S::of(tables) = reinterpret_cast<typename Entry<S>::Function>(function);
          },
          [](AnyFunction function) {
            Entry<S>::next = reinterpret_cast<typename Entry<S>::Function>(function);
          },
          reinterpret_cast<AnyFunction>(&Entry<S>::hooked)};
}

}  // namespace

std::span<const Slot> slots() {
  static const Slot all[] = {
#define FLAGOS_ENTRY(group, slot_name, roles, kind) describe<slot::group##_##slot_name>(),
#include "conformance/mutants/entries.inc"
#undef FLAGOS_ENTRY
  };
  return all;
}

}  // namespace flagos::conformance::mutants
