// Attributes against their rules: known, well-formed, in the canonical order, defaults left out.
#pragma once

#include <string>
#include <vector>

#include "compiler/module.hpp"

namespace flagos::compiler {

struct AttributeProblem {
  std::string text;      // "" when all is well
  bool unknown = false;  // a newer minor may know it
};

// `dtype` is that of literals. Attributes under `hint.` are kept whatever they are.
AttributeProblem resolve_attributes(std::vector<Attribute>& attributes, const std::vector<AttributeRule>& rules,
                                    DType dtype);
bool is_hint(const Attribute& attribute);
// Gives a number whose type is open, of a hint or constexpr, its one spelling; false where it is no number.
bool settle_number(Attribute& attribute);
void sort_by_name(std::vector<Attribute>& attributes);
// "axis=0", "noalias", "pad=-inf"; `dtype` is that of literals.
std::string print_attribute(const Attribute& attribute, DType dtype);
std::string print_attributes(const std::vector<Attribute>& attributes, DType dtype);

}  // namespace flagos::compiler
