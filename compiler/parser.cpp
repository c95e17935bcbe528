#include "compiler/parser.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <unordered_map>
#include <unordered_set>

#include "compiler/attributes.hpp"
#include "compiler/diagnostic.hpp"
#include "compiler/lexer.hpp"

namespace flagos::compiler {
namespace {

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
  kernel.name = expect(Kind::symbol, "the kernel's name, such as @softmax,");
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

Type Parser::parse_type() {
  const Token start = token_;
  const std::string_view name = expect(Kind::name, "a type");
  Type type;
  if (const auto dtype = find_dtype(name)) return Type::scalar(*dtype);
  if (name != "tile" && name != "ptr" && name != "view")
    refuse(start, fmt::format("'{}' is no type", name.substr(0, 40)));
  expect("<", "of the type");
  if (name == "tile") {
    parse_shape(type);
  } else {
    const Token element = token_;
    const auto dtype = find_dtype(expect(Kind::name, "an element type"));
    if (!dtype) refuse(element, fmt::format("'{}' is no element type", element.text.substr(0, 40)));
    type.kind = name == "ptr" ? Type::Kind::pointer : Type::Kind::view;
    type.dtype = *dtype;
    if (type.kind == Type::Kind::view) {
      expect(",", "before the view's rank");
      const Token rank = token_;
      const auto value = whole_number<int>(expect(Kind::number, "a rank"));
      if (!value || *value < 1 || *value > Limits::rank)
        refuse(rank, fmt::format("the rank of a view is 1 to {}, not {}", Limits::rank, rank.text.substr(0, 40)));
      type.rank = static_cast<std::uint8_t>(*value);
    }
  }
  expect(">", "of the type");
  return type;
}

// "256x64xf32", which is one token.
void Parser::parse_shape(Type& type) {
  const Token start = token_;
  std::string_view text = expect(Kind::number, "a shape, such as 256x64xf32,");
  type.kind = Type::Kind::tile;
  std::int64_t elements = 1;
  while (!text.empty() && text[0] >= '0' && text[0] <= '9') {
    const std::size_t cross = std::min(text.find('x'), text.size());
    const auto extent = whole_number<std::int64_t>(text.substr(0, cross));
    if (!extent || *extent < 1 || *extent > Limits::tile_elements)
      refuse(start, fmt::format("extent '{}' is not 1 to {}", text.substr(0, std::min<std::size_t>(cross, 40)),
                                Limits::tile_elements));
    if (type.rank == Limits::rank) refuse(start, fmt::format("the tile has more than {} axes", Limits::rank));
    type.dims[type.rank++] = static_cast<std::int32_t>(*extent);
    elements *= *extent;
    if (elements > Limits::tile_elements)
      refuse(start, fmt::format("the tile has more than {} elements", Limits::tile_elements));
    text.remove_prefix(std::min(cross + 1, text.size()));
  }
  const auto dtype = find_dtype(text);
  if (!dtype) refuse(start, fmt::format("'{}' is no element type", text.substr(0, 40)));
  type.dtype = *dtype;
}

std::vector<Attribute> Parser::parse_attributes(std::string_view close) {
  std::vector<Attribute> attributes;
  std::unordered_set<std::string> names;
  while (!at(close)) {
    const Token start = token_;
    attributes.push_back(parse_attribute());
    if (!names.insert(attributes.back().name).second)
      refuse(start, fmt::format("attribute '{}' is given twice", attributes.back().name));
    check_count(attributes.size(), Limits::list, "attributes");
    if (!take(",")) break;
  }
  expect(close, "of the attributes");
  return attributes;
}

Attribute Parser::parse_attribute() {
  Attribute attribute;
  attribute.name = expect(Kind::name, "an attribute");
  if (take("=")) parse_value(attribute);
  return attribute;
}

void Parser::parse_value(Attribute& attribute) {
  const Token value = token_;
  switch (value.kind) {
    case Kind::number:
      attribute.form = Attribute::Form::number;
      attribute.text = value.text;
      break;
    case Kind::name:
      attribute.form = Attribute::Form::word;
      attribute.text = value.text;
      break;
    case Kind::string:
      attribute.form = Attribute::Form::string;
      attribute.text = unescape(value.text);
      break;
    default:
      if (at("[")) return parse_list(attribute);
      refuse(value, fmt::format("attribute '{}': a value is expected, not {}", attribute.name, describe(value)));
  }
  advance();
}

void Parser::parse_list(Attribute& attribute) {
  attribute.form = Attribute::Form::list;
  expect("[", "of the list");
  while (!at("]")) {
    const Token item = token_;
    if (take("?")) {
      attribute.list.push_back(kDynamic);
    } else {
      const auto value = whole_number<std::int64_t>(expect(Kind::number, "an integer"));
      if (!value || *value == kDynamic) refuse(item, fmt::format("{} is no 64-bit integer", describe(item)));
      attribute.list.push_back(*value);
    }
    check_count(attribute.list.size(), Limits::list, "values in a list");
    if (!take(",")) break;
  }
  expect("]", "of the list");
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

}  // namespace

Module parse(std::string_view text) {
  if (text.size() > Limits::text_bytes)
    throw Refused(
        FLAGOS_STATUS_INVALID_IMAGE,
        {{0, 0, "", 0, fmt::format("the text has {} bytes; at most {} are read", text.size(), Limits::text_bytes)}});
  check_characters(text);
  // Locations come last and are read first, so that every error can name the author's line.
  Module module;
  Locations locations;
  static constexpr std::string_view kMark = "\nlocations\n";
  const std::size_t mark = text.find(kMark);
  if (mark != std::string_view::npos) {
    const auto line =
        static_cast<std::uint32_t>(std::count(text.begin(), text.begin() + static_cast<long>(mark), '\n'));
    Parser(text.substr(mark + 1), line + 2).parse_locations(module, locations);
  }
  return Parser(text.substr(0, mark == std::string_view::npos ? mark : mark + 1), 1)
      .parse_module(std::move(module), locations);
}

}  // namespace flagos::compiler
