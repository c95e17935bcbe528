#include "compiler/parser.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <unordered_map>
#include <unordered_set>

#include "compiler/attributes.hpp"
#include "compiler/diagnostic.hpp"
#include "compiler/parser_state.hpp"

namespace flagos::compiler {
namespace reading {

bool Parser::take(std::string_view punctuation) {
  if (!at(punctuation)) return false;
  advance();
  return true;
}

void Parser::expect(std::string_view punctuation, std::string_view why) {
  if (!take(punctuation))
    refuse(token_, fmt::format("'{}' {} is missing before {}", punctuation, why, describe(token_)));
}

std::string_view Parser::expect(Kind kind, std::string_view what) {
  if (!at(kind)) refuse(token_, fmt::format("{} is expected, not {}", what, describe(token_)));
  const std::string_view text = token_.text;
  advance();
  return text;
}

void Parser::refuse(const Token& where, std::string reason) const {
  Diagnostic diagnostic{where.line, where.column, "", 0, std::move(reason)};
  // The operation that is being read is the next one to get a location.
  if (in_op_ && locations_ && location_ < locations_->size() && (*locations_)[location_].file >= 0) {
    diagnostic.file = (*files_)[static_cast<std::size_t>((*locations_)[location_].file)];
    diagnostic.file_line = (*locations_)[location_].line;
  }
  throw Refused(FLAGOS_STATUS_INVALID_IMAGE, {diagnostic});
}

void Parser::refuse_unknown(const Token& where, std::string what) const {
  if (minor_ <= kFormMinor)
    refuse(where, fmt::format("{} is not known in flagos.tile {}.{}", what, kFormMajor, minor_));
  throw Refused(FLAGOS_STATUS_UNSUPPORTED_VERSION,
                {{where.line, where.column, "", 0,
                  fmt::format("{} needs flagos.tile {}.{}; this library reads up to {}.{}", what, kFormMajor, minor_,
                              kFormMajor, kFormMinor)}});
}

void Parser::check_count(std::size_t count, std::size_t limit, std::string_view what) const {
  if (count > limit) refuse(token_, fmt::format("more than {} {}", limit, what));
}

Module Parser::parse_module(Module module, const Locations& locations) {
  files_ = &module.files;
  parse_version();
  std::unordered_set<std::string> kernels;
  while (!at(Kind::end)) {
    const Token start = token_;
    if (!at_word("kernel")) refuse(token_, fmt::format("'kernel' is expected, not {}", describe(token_)));
    advance();
    const auto found = at(Kind::symbol) ? locations.find(token_.text) : locations.end();
    locations_ = found == locations.end() ? nullptr : &found->second;
    location_ = 0;
    module.kernels.push_back(parse_kernel());
    locations_ = nullptr;
    if (!kernels.insert(module.kernels.back().name).second)
      refuse(start, fmt::format("there are two kernels '{}'", module.kernels.back().name));
    check_count(module.kernels.size(), Limits::kernels, "kernels in one module");
  }
  if (module.kernels.empty()) refuse(token_, "the module has no kernel");
  return module;
}

void Parser::parse_version() {
  const Token start = token_;
  if (!at_word("flagos.tile")) refuse(token_, "the first line is not 'flagos.tile 1.0'");
  advance();
  const Token version = token_;
  const std::string_view text = expect(Kind::number, "a version");
  const std::size_t dot = text.find('.');
  const auto major = whole_number<int>(text.substr(0, dot));
  const auto minor = dot == std::string_view::npos ? std::nullopt : whole_number<int>(text.substr(dot + 1));
  if (!major || !minor || *major < 0 || *minor < 0)
    refuse(version, fmt::format("'{}' is no version", text.substr(0, 40)));
  if (*major != kFormMajor)
    throw Refused(FLAGOS_STATUS_UNSUPPORTED_VERSION,
                  {{start.line, start.column, "", 0,
                    fmt::format("the module is flagos.tile {}.{}; this library reads {}.0 to {}.{}", *major, *minor,
                                kFormMajor, kFormMajor, kFormMinor)}});
  minor_ = *minor;
}

Kernel Parser::parse_kernel() {
  Kernel kernel;
  kernel.line = token_.line;
  kernel_ = &kernel;
  names_.clear();
  const Token name = token_;
  kernel.name = expect(Kind::symbol, "the kernel's name, such as @softmax,");
  // It becomes part of a name in the language that a kernel is printed in.
  if (kernel.name.find('.') != std::string::npos)
    refuse(name, fmt::format("kernel '{}': its name may have letters, digits and _, not '.'", kernel.name));
  expect("(", "of the arguments");
  while (!at(")")) {
    parse_argument(kernel);
    check_count(kernel.arguments.size(), Limits::arguments, "arguments");
    if (!take(",")) break;
  }
  expect(")", "of the arguments");
  if (at_word("constexpr")) {
    advance();
    expect("(", "of constexpr");
    const Token where = token_;
    kernel.constants = parse_attributes(")");
    settle_numbers(kernel.constants, where);
  }
  if (at_word("hints")) {
    const Token where = token_;
    advance();
    expect("(", "of hints");
    kernel.hints = parse_attributes(")");
    settle_numbers(kernel.hints, where);
    for (const Attribute& hint : kernel.hints)
      if (!is_hint(hint)) refuse_unknown(where, fmt::format("hints: attribute '{}'", hint.name));
    sort_by_name(kernel.hints);
  }
  expect("{", "of the kernel's body");
  parse_block(kernel.body, 1);
  return kernel;
}

void Parser::parse_argument(Kernel& kernel) {
  const Token name = token_;
  expect(Kind::value, "an argument, such as %x,");
  if (name.text[0] >= '0' && name.text[0] <= '9') refuse(name, "an argument's name starts with a letter");
  expect(":", "before the argument's type");
  const Token where = token_;
  const Type type = parse_type();
  define(name, type);
  Argument argument{std::string(name.text), {}};
  if (take("{")) argument.facts = parse_attributes("}");
  static const std::vector<AttributeRule> none;
  const bool integer = type.is_scalar() && is_int(type.dtype);
  const auto& rules = type.kind == Type::Kind::pointer ? pointer_facts() : integer ? integer_facts() : none;
  const AttributeProblem problem = resolve_attributes(argument.facts, rules, type.dtype);
  if (problem.unknown) refuse_unknown(where, fmt::format("argument %{}: {}", name.text, problem.text));
  if (!problem.text.empty()) refuse(where, fmt::format("argument %{}: {}", name.text, problem.text));
  kernel.arguments.push_back(std::move(argument));
}

void Parser::parse_block(Block& block, int depth) {
  if (depth > Limits::nesting) refuse(token_, fmt::format("regions are nested deeper than {}", Limits::nesting));
  while (!at("}")) {
    if (at(Kind::end)) refuse(token_, "the text ends inside a region");
    if (!token_.starts_line)
      refuse(token_, fmt::format("an operation starts on a line of its own: {}", describe(token_)));
    block.ops.push_back(parse_op(depth));
  }
  advance();
}

Op Parser::parse_op(int depth) {
  if (++op_count_ > Limits::operations) refuse(token_, fmt::format("more than {} operations", Limits::operations));
  in_op_ = true;
  Op op;
  op.line = token_.line;
  op.column = token_.column;
  const std::vector<Token> results = parse_results();
  const Token name = token_;
  expect(Kind::name, "an operation");
  const auto code = find_op(name.text);
  if (!code) refuse_unknown(name, fmt::format("operation '{}'", name.text.substr(0, 60)));
  op.code = *code;
  parse_operands(op);
  if (at("{") && !token_.starts_line) {
    advance();
    op.attributes = parse_attributes("}");
  }
  parse_result_types(op, results);
  resolve(op, name);
  locate(op);
  parse_regions(op, depth);
  return op;
}

std::vector<Token> Parser::parse_results() {
  std::vector<Token> names;
  while (at(Kind::value)) {
    names.push_back(token_);
    advance();
    check_count(names.size(), Limits::list, "results");
    if (take(",")) continue;
    expect("=", "after the results");
    break;
  }
  return names;
}

void Parser::parse_operands(Op& op) {
  if (token_.starts_line || !at(Kind::value)) return;
  do {
    const Token name = token_;
    expect(Kind::value, "an operand");
    const auto found = names_.find(name.text);
    if (found == names_.end())
      refuse(name, fmt::format("{}: {} is not defined before this line", info(op.code).name, describe(name)));
    op.operands.push_back(found->second);
    check_count(op.operands.size(), Limits::list, "operands");
  } while (take(","));
}

void Parser::parse_result_types(Op& op, const std::vector<Token>& names) {
  std::vector<Type> types;
  const Token where = token_;
  if (!token_.starts_line && take(":")) {
    do {
      types.push_back(parse_type());
      check_count(types.size(), Limits::list, "result types");
    } while (take(","));
  }
  if (types.size() != names.size())
    refuse(where, fmt::format("{}: {} results and {} result types", info(op.code).name, names.size(), types.size()));
  for (std::size_t i = 0; i < names.size(); ++i) op.results.push_back(define(names[i], types[i]));
}

void Parser::parse_regions(Op& op, int depth) {
  const OpInfo& rules = info(op.code);
  while (static_cast<int>(op.regions.size()) < rules.regions_max && !token_.starts_line &&
         at_word(rules.keywords[op.regions.size()])) {
    advance();
    Block& block = op.regions.emplace_back();
    if (take("(")) parse_block_arguments(block);
    expect("{", "of the region");
    parse_block(block, depth + 1);
  }
  if (static_cast<int>(op.regions.size()) < rules.regions_min)
    refuse(token_, fmt::format("{}: the region '{}' is missing", rules.name, rules.keywords[op.regions.size()]));
  if (!token_.starts_line && !at(Kind::end))
    refuse(token_, fmt::format("{}: {} does not belong here", rules.name, describe(token_)));
}

void Parser::parse_block_arguments(Block& block) {
  while (!at(")")) {
    const Token name = token_;
    expect(Kind::value, "a region's argument");
    expect(":", "before the argument's type");
    block.arguments.push_back(define(name, parse_type()));
    check_count(block.arguments.size(), Limits::list, "arguments of a region");
    if (!take(",")) break;
  }
  expect(")", "of the region's arguments");
}

void Parser::settle_numbers(std::vector<Attribute>& attributes, const Token& where) const {
  for (Attribute& attribute : attributes)
    if (!settle_number(attribute)) refuse(where, fmt::format("'{}' is no number", attribute.text.substr(0, 40)));
}

void Parser::resolve(Op& op, const Token& name) {
  const DType dtype = op.results.empty() ? DType::i32 : kernel_->values[op.results[0]].dtype;
  const AttributeProblem problem = resolve_attributes(op.attributes, info(op.code).attributes, dtype);
  if (problem.unknown) refuse_unknown(name, fmt::format("{}: {}", info(op.code).name, problem.text));
  if (!problem.text.empty()) refuse(name, fmt::format("{}: {}", info(op.code).name, problem.text));
}

ValueId Parser::define(const Token& name, const Type& type) {
  const auto id = static_cast<ValueId>(kernel_->values.size());
  if (!names_.emplace(name.text, id).second) refuse(name, fmt::format("{} is defined twice", describe(name)));
  kernel_->values.push_back(type);
  return id;
}

void Parser::locate(Op& op) {
  if (locations_ && location_ < locations_->size()) {
    op.file = (*locations_)[location_].file;
    op.file_line = (*locations_)[location_].line;
  }
  ++location_;
  in_op_ = false;
}

// locations, then `file "a.cpp"` for each file, then for each kernel `at @name` and file:line of every operation in
// the order of the text, `?` where it is not known.
void Parser::parse_locations(Module& module, Locations& locations) {
  advance();  // the word itself
  while (at_word("file")) {
    advance();
    module.files.push_back(unescape(expect(Kind::string, "a file's name")));
  }
  while (at_word("at")) {
    advance();
    std::vector<Location>& list = locations[expect(Kind::symbol, "a kernel's name")];
    while (at(Kind::number) || at("?")) {
      check_count(list.size(), Limits::operations, "locations");
      Location& location = list.emplace_back();
      if (take("?")) continue;
      const Token where = token_;
      const auto file = whole_number<std::int32_t>(expect(Kind::number, "a file"));
      expect(":", "of the location");
      const auto line = whole_number<std::uint32_t>(expect(Kind::number, "a line"));
      if (!file || !line || *file < 0 || static_cast<std::size_t>(*file) >= module.files.size())
        refuse(where, "the location names no line of a file above");
      location = {*file, *line};
    }
  }
  if (!at(Kind::end)) refuse(token_, fmt::format("{} does not belong into the locations", describe(token_)));
}

}  // namespace reading

Module parse(std::string_view text) {
  if (text.size() > Limits::text_bytes)
    throw Refused(
        FLAGOS_STATUS_INVALID_IMAGE,
        {{0, 0, "", 0, fmt::format("the text has {} bytes; at most {} are read", text.size(), Limits::text_bytes)}});
  check_characters(text);
  // Locations come last and are read first, so that every error can name the author's line.
  Module module;
  reading::Locations locations;
  static constexpr std::string_view kMark = "\nlocations\n";
  const std::size_t mark = text.find(kMark);
  if (mark != std::string_view::npos) {
    const auto line =
        static_cast<std::uint32_t>(std::count(text.begin(), text.begin() + static_cast<long>(mark), '\n'));
    reading::Parser(text.substr(mark + 1), line + 2).parse_locations(module, locations);
  }
  return reading::Parser(text.substr(0, mark == std::string_view::npos ? mark : mark + 1), 1)
      .parse_module(std::move(module), locations);
}

}  // namespace flagos::compiler
