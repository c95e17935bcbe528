#include "conformance/mutants/catalogue.hpp"

#include <algorithm>

namespace flagos::conformance::mutants {

const std::vector<Mutant>& all_mutants() {
  static const std::vector<Mutant> list = [] {
    std::vector<Mutant> made;
    add_baselines(made);
    add_seeded_memory(made);
    add_seeded_order(made);
    add_seeded_objects(made);
    add_seeded_collective(made);
    add_generic(made);
    add_host_mutants(made);
    return made;
  }();
  return list;
}

const Mutant* find_mutant(std::string_view id) {
  const auto at = id.find('@');
  const std::string listed =
      at == std::string_view::npos ? std::string(id) : std::string(id.substr(0, at)) + "@N";
  const auto& list = all_mutants();
  const auto found = std::find_if(list.begin(), list.end(),
                                  [&](const Mutant& mutant) { return mutant.id == listed; });
  return found == list.end() ? nullptr : &*found;
}

std::string_view class_name(Class kind) {
  switch (kind) {
    case Class::baseline:
      return "baseline";
    case Class::generic:
      return "generic";
    case Class::seeded:
      return "seeded";
  }
  return "";
}

}  // namespace flagos::conformance::mutants
