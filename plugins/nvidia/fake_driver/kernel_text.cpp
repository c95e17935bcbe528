#include "plugins/nvidia/fake_driver/kernel_text.hpp"

#include <algorithm>
#include <cctype>

namespace flagos::nvidia::fake {
namespace {

constexpr std::string_view visible = R"(__attribute__((visibility("default"), used)))";

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

class Translator {
 public:
  explicit Translator(std::string_view source) : in_(source) {}

  KernelText run() {
    while (at_ < in_.size()) step();
    finish();
    return std::move(made_);
  }

 private:
  void step() {
    const char c = in_[at_];
    if (c == '"' || c == '\'') return copy_literal(c);
    if (c == '#') return copy_to('\n');  // a line marker
    if (!is_word(c)) {
      depth_ += c == '{' ? 1 : c == '}' ? -1 : 0;
      made_.text += c;
      ++at_;
      return;
    }
    const std::string_view word = take_word();
    if (word == "__global__") return begin_kernel();
    if (word == "__launch_bounds__") return void(take_bounds());
    if (word == "__shared__") return append("static thread_local");
    if (word == "extern" && peek_word() == "__shared__") return declare_dynamic();
    append(word);
  }

  void append(std::string_view text) { made_.text += text; }

  std::string_view take_word() {
    const std::size_t from = at_;
    while (at_ < in_.size() && is_word(in_[at_])) ++at_;
    return in_.substr(from, at_ - from);
  }
  std::size_t next_from(std::size_t from) const {
    while (from < in_.size() && std::isspace(static_cast<unsigned char>(in_[from])) != 0) ++from;
    return from;
  }
  std::string_view peek_word() const {
    const std::size_t from = next_from(at_);
    std::size_t to = from;
    while (to < in_.size() && is_word(in_[to])) ++to;
    return in_.substr(from, to - from);
  }
  // Behind the bracket that closes the one at `from`.
  std::size_t behind_brackets(std::size_t from) const {
    int open = 0;
    for (; from < in_.size(); ++from) {
      if (in_[from] == '(') ++open;
      if (in_[from] == ')' && --open == 0) return from + 1;
    }
    return from;
  }
  void copy_literal(char quote) {
    do {
      if (in_[at_] == '\\') made_.text += in_[at_++];
      if (at_ < in_.size()) made_.text += in_[at_++];
    } while (at_ < in_.size() && in_[at_] != quote);
    if (at_ < in_.size()) made_.text += in_[at_++];
  }
  void copy_to(char end) {
    while (at_ < in_.size() && in_[at_] != end) made_.text += in_[at_++];
  }

  // The first number in the brackets; they are left out.
  unsigned take_bounds() {
    const std::size_t from = next_from(at_), to = behind_brackets(from);
    unsigned number = 0;
    for (std::size_t i = from + 1;
         i < to && (std::isdigit(static_cast<unsigned char>(in_[i])) != 0 || in_[i] == ' '); ++i)
      if (in_[i] != ' ') number = number * 10 + static_cast<unsigned>(in_[i] - '0');
    at_ = to;
    return number;
  }

  // Its name is the word before the brackets of its parameters.
  void begin_kernel() {
    append(visible);
    append(" ");
    unsigned most = 1024;
    std::string_view name;
    while (at_ < in_.size()) {
      at_ = next_from(at_);
      if (in_[at_] == '(' || !is_word(in_[at_])) break;
      name = take_word();
      if (name == "__launch_bounds__") {
        most = std::clamp(take_bounds(), 1u, 1024u);
        continue;
      }
      append(name);
      append(" ");
      if (name == "__attribute__") {
        const std::size_t from = at_;
        at_ = behind_brackets(next_from(at_));
        append(in_.substr(from, at_ - from));
      }
    }
    const std::string found(name);
    if (std::find(made_.kernels.begin(), made_.kernels.end(), found) != made_.kernels.end()) return;
    made_.kernels.push_back(found);
    bounds_.push_back(most);
  }

  // extern __shared__ T name[];
  void declare_dynamic() {
    at_ = next_from(at_);
    take_word();
    const std::size_t end = std::min(in_.find(';', at_), in_.size());
    std::string_view rest = in_.substr(at_, end - at_);
    at_ = end + 1;
    if (const std::size_t attribute = rest.find("__attribute__");
        attribute != std::string_view::npos) {
      const std::size_t from = static_cast<std::size_t>(rest.data() - in_.data()) + attribute;
      rest = in_.substr(behind_brackets(from), end - behind_brackets(from));
    }
    const std::size_t bracket = rest.rfind('[');
    std::size_t last = bracket;
    while (last > 0 && !is_word(rest[last - 1])) --last;
    std::size_t first = last;
    while (first > 0 && is_word(rest[first - 1])) --first;
    const std::string name(rest.substr(first, last - first)), type(rest.substr(0, first));
    const std::string pointer = "((" + type + "*)flagos_fake_now->shared)";
    append(depth_ > 0 ? type + "* const " + name + " = " + pointer + ";"
                      : "\n#undef " + name + "\n#define " + name + " " + pointer + "\n");
  }

  void finish() {
    std::string& out = made_.text;
    out += "\nstatic const flagos_fake_kernel flagos_fake_kernels[] = {\n";
    for (std::size_t i = 0; i < made_.kernels.size(); ++i) {
      const std::string& name = made_.kernels[i];
      const std::string call = "flagos_fake_call<&" + name + ">::";
      out += "{\"" + name + "\", " + call + "call, " + call + "layout.items, " + call +
             "count, (unsigned)" + call + "layout.end, " + std::to_string(bounds_[i]) + "},\n";
    }
    out += "{}};\nextern \"C\" " + std::string(visible) +
           " const flagos_fake_module flagos_fake_image = {flagos_fake_kernels, " +
           std::to_string(made_.kernels.size()) + ", [] { return &flagos_fake_now; }};\n";
  }

  const std::string_view in_;
  std::size_t at_ = 0;
  int depth_ = 0;
  KernelText made_;
  std::vector<unsigned> bounds_;
};

// Behind the literal that begins at `at`, or the end of its line where it has no end.
std::size_t behind_literal(std::string_view text, std::size_t at) {
  const char quote = text[at++];
  while (at < text.size() && text[at] != quote && text[at] != '\n') at += text[at] == '\\' ? 2 : 1;
  return std::min(at + 1, text.size());
}

// Behind the comment that begins at `at`; its line breaks, also those of a line that goes on, are kept.
std::size_t behind_comment(std::string_view text, std::size_t at, std::string& kept) {
  const bool is_line = text[at + 1] == '/';
  kept += ' ';
  for (at += 2; at < text.size(); ++at) {
    if (is_line && text[at] == '\n' && text[at - 1] != '\\') return at;
    if (!is_line && text.substr(at, 2) == "*/") return at + 2;
    if (text[at] == '\n') kept += '\n';
  }
  return at;
}

}  // namespace

std::string without_comments(std::string_view source) {
  if (source.find("R\"") != std::string_view::npos) return std::string(source);
  std::string kept;
  for (std::size_t at = 0; at < source.size();) {
    const bool begins = source[at] == '/' && at + 1 < source.size();
    if (begins && (source[at + 1] == '/' || source[at + 1] == '*')) {
      at = behind_comment(source, at, kept);
      continue;
    }
    // An apostrophe behind a digit parts a number.
    const bool parts = source[at] == '\'' && at > 0 && is_word(source[at - 1]);
    const bool opens = source[at] == '"' || (source[at] == '\'' && !parts);
    const std::size_t end = opens ? behind_literal(source, at) : at + 1;
    kept += source.substr(at, end - at);
    at = end;
  }
  return kept;
}

KernelText translate(std::string_view source) { return Translator(source).run(); }

}  // namespace flagos::nvidia::fake
