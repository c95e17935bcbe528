// Writes what is made of the table of operators: the public header, the document, the exported functions.
//
//   flagos_ops_generate header TEMPLATE OUTPUT | functions OUTPUT | document OUTPUT | kernels FOLDER
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "ops/engine/complex.hpp"
#include "ops/table.hpp"

using namespace flagos;
using namespace flagos::ops;

namespace {

constexpr std::size_t columns = 120;

std::string read(const char* path) {
  std::ifstream in(path);
  if (!in) throw_error(FLAGOS_STATUS_NOT_FOUND, "cannot read {}", path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// "head(a, b, c)tail" over as many lines as it needs, the parameters below each other.
std::string call_text(const std::string& head, const std::vector<std::string>& parameters,
                      const std::string& tail) {
  std::string out = head, line = head;
  const std::string indent(head.size(), ' ');
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const bool last = i + 1 == parameters.size();
    const std::string part = parameters[i] + (last ? tail : ",");
    const std::string space = i == 0 ? "" : " ";
    if (i != 0 && line.size() + space.size() + part.size() > columns) {
      out += "\n" + indent + part;
      line = indent + part;
    } else {
      out += space + part;
      line += space + part;
    }
  }
  return out;
}

std::string function_text(const Operator& op, const std::string& before, const std::string& tail) {
  std::vector<std::string> parameters{"flagos_stream_t* stream"};
  for (const Parameter& parameter : op.schema().parameters) {
    const std::string text = c_parameter(parameter);
    const std::size_t comma = text.find(", ");
    parameters.push_back(text.substr(0, comma));
    if (comma != std::string::npos) parameters.push_back(text.substr(comma + 2));
  }
  return call_text(before + "flagos_status_t flagos_ops_" + op.schema().function_name() + "(",
                   parameters, tail);
}

void write_header(std::ostream& out, const char* template_path) {
  out << read(template_path);
  std::string family;
  for (const auto& op : Table::get().operators()) {
    if (op->family() != family) {
      family = op->family();
      out << "/* " << std::string(114, '-') << "\n * " << static_cast<char>(std::toupper(family[0]))
          << family.substr(1) << "\n * " << std::string(111, '-') << " */\n\n";
    }
    out << "/** " << op->schema_text() << "\n *  Computes in " << op->dtypes_text()
        << ".  Bound: " << op->bound_text() << ".  Since: 1.0 */\n"
        << function_text(*op, "FLAGOS_API ", ");") << "\n\n";
  }
  out << "#ifdef __cplusplus\n}\n#endif\n\n#endif\n";
}

std::string argument_text(const Parameter& parameter) {
  using Kind = Parameter::Kind;
  if (parameter.list) return fmt::format("by_address({0}, {0}_count)", parameter.name);
  if (parameter.optional || parameter.kind == Kind::tensor || parameter.kind == Kind::scalar ||
      parameter.kind == Kind::word)
    return fmt::format("by_address({})", parameter.name);
  if (parameter.kind == Kind::boolean)
    return fmt::format("by_value(static_cast<std::int64_t>({}))", parameter.name);
  return fmt::format("by_value({})", parameter.name);
}

void write_functions(std::ostream& out) {
  for (const auto& op : Table::get().operators()) {
    out << function_text(*op, "", ") {") << "\n  const flagos_ops_argument_t arguments[] = {";
    for (const Parameter& parameter : op->schema().parameters)
      out << argument_text(parameter) << ", ";
    out << "};\n  return call(stream, " << op->index() << ", arguments);\n}\n";
  }
}

void write_document(std::ostream& out) {
  out << "# Operators\n\n"
         "Made by `scripts/update-operators` from the table in `ops/`; do not edit. What all have "
         "in common is at the top of\n"
         "[flagos_ops.h](../abi/flagos_ops.h); [add-an-operator.md](add-an-operator.md) tells how "
         "to add one.\n"
         "[language-operators.md](language-operators.md) tells what those of language models take, "
         "which ATen does not have.\n\n"
         "Status, as `scripts/operators-status` counts it with `flagos ops list --status` (seed "
         "1): all 284 "
         "pass on cpu in all\n"
         "their types; on opencl (PoCL) and vulkan (lavapipe) all 284 in float32, or int32 where "
         "they "
         "take no float32.\n\n"
         "`Tensor!` is written, `Tensor?` may be NULL, `Tensor:bool` is a mask, `Tensor:int` holds "
         "indices. u is the unit of\n"
         "the type that is computed in, K the number of terms.\n";
  std::string family;
  for (const auto& op : Table::get().operators()) {
    if (op->family() != family) {
      family = op->family();
      out << "\n## " << static_cast<char>(std::toupper(family[0])) << family.substr(1)
          << "\n\n| operator | computes in | bound |\n| --- | --- | --- |\n";
    }
    std::string schema;
    for (const char c : std::string(op->schema_text()))
      schema += c == '|' ? std::string("\\|") : std::string(1, c);
    out << "| `" << schema << "` | " << op->dtypes_text() << " | " << op->bound_text() << " |\n";
  }
  out << "\n## Complex numbers\n\n"
         "What moves elements takes complex64, and so do these, alone and mixed with real types. "
         "The "
         "bound is on the distance of two\n"
         "numbers, in units in the last place of the length of what is larger: the result, or a "
         "term "
         "that is added.\n\n"
         "| operator | gives | bound |\n| --- | --- | --- |\n";
  for (const ComplexOperator& op : complex_operators())
    out << "| `" << op.name << "` | " << dtype_name(dtype_of(op.result)) << " | "
        << (op.units == 0 ? exact : ulp(op.units)).text() << op.beside << " |\n";
}

// The kernels worth compiling ahead of time, one file for each, and a list of the files.
void write_kernels(const std::string& folder) {
  std::filesystem::create_directories(folder);
  std::ofstream list(folder + "/list");
  for (const auto& op : Table::get().operators()) {
    int count = 0;
    op->enumerate([&](const std::string& text) {
      const std::string path =
          fmt::format("{}/{}-{}.tile", folder, op->schema().function_name(), count++);
      std::ofstream(path) << text;
      list << path << "\n";
    });
  }
  list.close();
  if (!list) throw_error(FLAGOS_STATUS_INTERNAL, "cannot write to {}", folder);
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string what = argc > 1 ? argv[1] : "";
  const bool header = what == "header";
  if (argc != (header ? 4 : 3) ||
      (!header && what != "functions" && what != "document" && what != "kernels")) {
    std::cerr << "usage: flagos_ops_generate header TEMPLATE OUTPUT | functions OUTPUT | document "
                 "OUTPUT | kernels FOLDER\n";
    return 2;
  }
  if (what == "kernels") {
    write_kernels(argv[2]);
    return 0;
  }
  std::ofstream out(argv[argc - 1]);
  if (header) write_header(out, argv[2]);
  if (what == "functions") write_functions(out);
  if (what == "document") write_document(out);
  out.close();
  if (!out) throw_error(FLAGOS_STATUS_INTERNAL, "cannot write {}", argv[argc - 1]);
  return 0;
} catch (const std::exception& error) {
  std::cerr << "flagos_ops_generate: " << error.what() << "\n";
  return 1;
}
