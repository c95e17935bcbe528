// The table of all operations of flagos.tile 1.0. Parser, printer, verifier and interpreter are driven by it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace flagos::compiler {

inline constexpr int kFormMajor = 1;
inline constexpr int kFormMinor = 0;

enum class OpCode : std::uint8_t {
#define FLAGOS_ELEMENTWISE(name, ...) name,
#define FLAGOS_OP(name, ...) name,
#include "compiler/ops.inc"
};

// Which element types an elementwise operation takes.
enum class Domain : std::uint8_t { none, number, floating, integer, bits, any };
// What an elementwise operation gives: the type of its operands, or i1 of their shape.
enum class Result : std::uint8_t { none, same, truth };
enum class Effect : std::uint8_t { none, read, write, update, report, control };

struct AttributeRule {
  enum class Kind : std::uint8_t { flag, integer, list, literal, word, string };
  std::string_view name;
  Kind kind;
  bool required;
  std::int64_t integer;                   // the default of an integer
  std::vector<std::string_view> choices;  // of a word; the first is the default
};

struct OpInfo {
  std::string_view name;
  Domain domain;
  Result result;
  int operands_min, operands_max;  // -1: any number
  int results_min, results_max;
  int regions_min, regions_max;
  std::string_view keywords[2];  // that introduce its regions
  bool isolated;                 // its regions see their own values only, and are pure
  Effect effect;
  std::vector<AttributeRule> attributes;

  bool is_elementwise() const { return domain != Domain::none; }
  const AttributeRule* find(std::string_view attribute) const;
};

const std::vector<OpInfo>& op_table();
inline const OpInfo& info(OpCode code) { return op_table()[static_cast<std::size_t>(code)]; }
std::optional<OpCode> find_op(std::string_view name);

// Reads "axis:int! op:add|mul start:int=0 fast:flag"; for tables that are made of text.
std::vector<AttributeRule> parse_rules(std::string_view rules);
// What a kernel's argument may say: facts about a pointer, and about an integer.
const std::vector<AttributeRule>& pointer_facts();
const std::vector<AttributeRule>& integer_facts();
const AttributeRule* find_rule(const std::vector<AttributeRule>& rules, std::string_view name);

}  // namespace flagos::compiler
