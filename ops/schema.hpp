// The schema of an operator, as text: "softmax(Tensor input, int dim, Tensor! out)". Everything that is said of an
// operator's arguments, in the header, the documents and the checks, is read from it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace flagos::ops {

// parameter = type name ["=" default]
// type      = "Tensor" ["!" | "?"] ["[]"] [":bool" | ":int"] | "int" ["?"] ["[]"] | "float" ["?"] | "bool" | "Scalar" ["?"] | "str"
// Of a str, the default lists the words that are known, the default first: str reduction=mean|sum|none
struct Parameter {
  enum class Kind { tensor, integer, real, boolean, scalar, word };
  enum class Elements { any, boolean, integer };

  Kind kind = Kind::tensor;
  Elements elements = Elements::any;  // of a tensor: a mask, an index
  bool output = false;                // written, and perhaps read
  bool optional = false;
  bool list = false;
  std::string name;
  std::string default_text;        // "" when there is none
  std::vector<std::string> words;  // of a str
};

struct Schema {
  std::string name;  // as ATen has it: "add", "add.Scalar"
  std::vector<Parameter> parameters;

  // Throws Error for a text that is none.
  static Schema parse(std::string_view text);
  // The name of the C function, without "flagos_ops_": "add_scalar".
  std::string function_name() const;
  // Of the first parameter with this name; throws Error when there is none.
  std::size_t index_of(std::string_view parameter) const;
};

// The parameter as C: "const flagos_tensor_t* input", "const int64_t* dim, uint32_t dim_count".
std::string c_parameter(const Parameter& parameter);

}  // namespace flagos::ops
