// Cuts the text of a module into tokens. Names and numbers are views into it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace flagos::compiler {

struct Token {
  enum class Kind : std::uint8_t { end, name, value, symbol, number, string, punctuation };
  Kind kind = Kind::end;
  std::string_view text;  // without % and @; of a string with its escapes, without its quotes
  std::uint32_t line = 1;
  std::uint32_t column = 1;
  bool starts_line = true;
};

class Lexer {
 public:
  explicit Lexer(std::string_view text, std::uint32_t first_line = 1) : text_(text), line_(first_line) {}
  // Throws Refused at a character that starts no token.
  Token next();

 private:
  void skip_space();
  std::string_view take_while(bool (*accept)(char));
  std::string_view take_number();
  std::string_view take_string();

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t line_start_ = 0;
  std::uint32_t line_;
  bool starts_line_ = true;
};

// What an error message calls a token.
std::string describe(const Token& token);
// Throws Refused where the text is not UTF-8, or holds a control character other than newline and tab.
void check_characters(std::string_view text);
std::string unescape(std::string_view text);
std::string escape(std::string_view text);

}  // namespace flagos::compiler
