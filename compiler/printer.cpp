#include "compiler/printer.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <iterator>

#include "base/error.hpp"
#include "compiler/attributes.hpp"
#include "compiler/lexer.hpp"

namespace flagos::compiler {
namespace {

class Printer {
 public:
  Printer(const Kernel& kernel, std::string& out) : kernel_(kernel), out_(out), numbers_(kernel.values.size(), 0) {}
  void print();

 private:
  template <typename... Args>
  void put(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }
  void print_argument(std::size_t index);
  void print_block(const Block& block, int depth);
  void print_op(const Op& op, int depth);
  void print_region(const Block& block, std::string_view keyword, int depth);
  void print_types(const std::vector<ValueId>& values);
  void define(ValueId value) { numbers_[value] = next_++; }
  void put_name(ValueId value);

  const Kernel& kernel_;
  std::string& out_;
  std::vector<std::uint32_t> numbers_;  // of values, in the order of the text
  std::uint32_t next_ = 0;
};

void Printer::print() {
  put("\nkernel @{}(", kernel_.name);
  for (std::size_t i = 0; i < kernel_.arguments.size(); ++i) print_argument(i);
  out_ += ')';
  if (!kernel_.constants.empty()) put(" constexpr({})", print_attributes(kernel_.constants, DType::i64));
  if (!kernel_.hints.empty()) put(" hints({})", print_attributes(kernel_.hints, DType::i64));
  out_ += " {\n";
  print_block(kernel_.body, 1);
  out_ += "}\n";
}

void Printer::print_argument(std::size_t index) {
  const Argument& argument = kernel_.arguments[index];
  const Type& type = kernel_.values[index];
  put("{}%{}: {}", index == 0 ? "" : ", ", argument.name, print_type(type));
  if (!argument.facts.empty()) put(" {{{}}}", print_attributes(argument.facts, type.dtype));
}

void Printer::put_name(ValueId value) {
  if (value < kernel_.arguments.size()) {
    put("%{}", kernel_.arguments[value].name);
  } else {
    put("%{}", numbers_[value]);
  }
}

void Printer::print_block(const Block& block, int depth) {
  for (const Op& op : block.ops) print_op(op, depth);
}

void Printer::print_op(const Op& op, int depth) {
  const OpInfo& rules = info(op.code);
  out_.append(static_cast<std::size_t>(depth) * 2, ' ');
  for (std::size_t i = 0; i < op.results.size(); ++i) {
    define(op.results[i]);
    if (i != 0) out_ += ", ";
    put_name(op.results[i]);
  }
  if (!op.results.empty()) out_ += " = ";
  out_ += rules.name;
  for (std::size_t i = 0; i < op.operands.size(); ++i) {
    out_ += i == 0 ? " " : ", ";
    put_name(op.operands[i]);
  }
  if (!op.attributes.empty()) {
    const DType dtype = op.results.empty() ? DType::i32 : kernel_.values[op.results[0]].dtype;
    put(" {{{}}}", print_attributes(op.attributes, dtype));
  }
  print_types(op.results);
  for (std::size_t i = 0; i < op.regions.size(); ++i) print_region(op.regions[i], rules.keywords[i], depth);
  out_ += '\n';
}

void Printer::print_types(const std::vector<ValueId>& values) {
  for (std::size_t i = 0; i < values.size(); ++i)
    put("{}{}", i == 0 ? " : " : ", ", print_type(kernel_.values[values[i]]));
}

void Printer::print_region(const Block& block, std::string_view keyword, int depth) {
  put(" {}", keyword);
  for (std::size_t i = 0; i < block.arguments.size(); ++i) {
    define(block.arguments[i]);
    out_ += i == 0 ? " (" : ", ";
    put_name(block.arguments[i]);
    put(": {}", print_type(kernel_.values[block.arguments[i]]));
  }
  out_ += block.arguments.empty() ? " {\n" : ") {\n";
  print_block(block, depth + 1);
  out_.append(static_cast<std::size_t>(depth) * 2, ' ');
  out_ += '}';
}

// The locations of a block's operations in the order of the text; true when any is known.
bool collect(const Block& block, std::vector<std::string>& out) {
  bool known = false;
  for (const Op& op : block.ops) {
    out.push_back(op.file < 0 ? "?" : fmt::format("{}:{}", op.file, op.file_line));
    known |= op.file >= 0;
    for (const Block& region : op.regions) known |= collect(region, out);
  }
  return known;
}

}  // namespace

std::string print(const Module& module) {
  std::string out = fmt::format("flagos.tile {}.{}\n", kFormMajor, kFormMinor);
  for (const Kernel& kernel : module.kernels) Printer(kernel, out).print();
  return out;
}

std::string print_locations(const Module& module) {
  if (module.files.empty()) return "";
  std::string out = "\nlocations\n";
  for (const std::string& file : module.files) out += fmt::format("file \"{}\"\n", escape(file));
  for (const Kernel& kernel : module.kernels) {
    std::vector<std::string> locations;
    if (!collect(kernel.body, locations)) continue;
    out += fmt::format("at @{}\n", kernel.name);
    for (std::size_t i = 0; i < locations.size(); ++i)
      out += fmt::format("{}{}", locations[i], i % 12 == 11 || i + 1 == locations.size() ? "\n" : " ");
  }
  return out;
}

std::array<std::uint8_t, 32> hash(const Module& module) {
  const std::string text = print(module);
  std::array<std::uint8_t, 32> digest{};
  unsigned int length = 0;
  if (EVP_Digest(text.data(), text.size(), digest.data(), &length, EVP_sha256(), nullptr) != 1 ||
      length != digest.size())
    throw_error(FLAGOS_STATUS_INTERNAL, "SHA-256: the crypto library failed");
  return digest;
}

}  // namespace flagos::compiler
