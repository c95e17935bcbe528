// Reads a text: parser.cpp has modules, kernels and operations, parse_type.cpp types and attributes.
#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "compiler/lexer.hpp"
#include "compiler/module.hpp"

namespace flagos::compiler::reading {

using Kind = Token::Kind;

template <typename T>
std::optional<T> whole_number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

struct Location {
  std::int32_t file = -1;
  std::uint32_t line = 0;
};
using Locations = std::unordered_map<std::string_view, std::vector<Location>>;

class Parser {
 public:
  Parser(std::string_view text, std::uint32_t first_line) : lexer_(text, first_line) { advance(); }

  Module parse_module(Module module, const Locations& locations);
  void parse_locations(Module& module, Locations& locations);

 private:
  // tokens
  void advance() { token_ = lexer_.next(); }
  bool at(Kind kind) const { return token_.kind == kind; }
  bool at(std::string_view punctuation) const { return at(Kind::punctuation) && token_.text == punctuation; }
  bool at_word(std::string_view word) const { return at(Kind::name) && token_.text == word; }
  bool take(std::string_view punctuation);
  void expect(std::string_view punctuation, std::string_view why);
  std::string_view expect(Kind kind, std::string_view what);
  [[noreturn]] void refuse(const Token& where, std::string reason) const;
  [[noreturn]] void refuse_unknown(const Token& where, std::string what) const;

  // parts
  void parse_version();
  Kernel parse_kernel();
  void parse_argument(Kernel& kernel);
  Type parse_type();
  void parse_shape(Type& type);
  std::vector<Attribute> parse_attributes(std::string_view close);
  Attribute parse_attribute();
  void parse_value(Attribute& attribute);
  void parse_list(Attribute& attribute);
  void parse_block(Block& block, int depth);
  Op parse_op(int depth);
  std::vector<Token> parse_results();
  void parse_operands(Op& op);
  void parse_result_types(Op& op, const std::vector<Token>& names);
  void parse_regions(Op& op, int depth);
  void parse_block_arguments(Block& block);
  void settle_numbers(std::vector<Attribute>& attributes, const Token& where) const;
  void resolve(Op& op, const Token& name);
  ValueId define(const Token& name, const Type& type);
  void locate(Op& op);
  void check_count(std::size_t count, std::size_t limit, std::string_view what) const;

  Lexer lexer_;
  Token token_;
  int minor_ = 0;  // that the module asks for
  std::size_t op_count_ = 0;
  Kernel* kernel_ = nullptr;
  std::unordered_map<std::string_view, ValueId> names_;
  const std::vector<Location>* locations_ = nullptr;  // of the kernel that is read
  std::size_t location_ = 0;
  bool in_op_ = false;  // an operation is read, and has not got its location
  const std::vector<std::string>* files_ = nullptr;
};

}  // namespace flagos::compiler::reading
