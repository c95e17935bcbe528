#include "compiler/lexer.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "compiler/diagnostic.hpp"

namespace flagos::compiler {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name(char c) { return is_letter(c) || is_digit(c) || c == '.'; }

[[noreturn]] void refuse(std::uint32_t line, std::size_t column, std::string reason) {
  throw Refused(FLAGOS_STATUS_INVALID_IMAGE, {{line, static_cast<std::uint32_t>(column), "", 0, std::move(reason)}});
}

// Length of the UTF-8 sequence at the front of `text`, 0 where it is none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  const unsigned char second = byte(1);
  if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) || (first == 0xf0 && second < 0x90) ||
      (first == 0xf4 && second > 0x8f))
    return 0;
  return length;
}

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

}  // namespace

Token Lexer::next() {
  skip_space();
  Token token;
  token.line = line_;
  token.column = static_cast<std::uint32_t>(at_ - line_start_ + 1);
  token.starts_line = starts_line_;
  starts_line_ = false;
  if (at_ == text_.size()) return token;
  const char c = text_[at_];
  const char after = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
  if (is_letter(c)) {
    token.kind = Token::Kind::name;
    token.text = take_while(is_name);
  } else if (is_digit(c) || (c == '-' && (is_digit(after) || is_letter(after)))) {
    token.kind = Token::Kind::number;
    token.text = take_number();
  } else if ((c == '%' || c == '@') && (is_letter(after) || is_digit(after))) {
    token.kind = c == '%' ? Token::Kind::value : Token::Kind::symbol;
    ++at_;
    token.text = take_while(is_name);
  } else if (c == '"') {
    token.kind = Token::Kind::string;
    token.text = take_string();
  } else if (std::string_view("(){}[]<>=,:?").find(c) != std::string_view::npos) {
    token.kind = Token::Kind::punctuation;
    token.text = text_.substr(at_++, 1);
  } else {
    const auto code = static_cast<unsigned char>(c);
    refuse(line_, token.column,
           code > 32 && code < 127 ? fmt::format("'{}' starts nothing here", c)
                                   : fmt::format("the character 0x{:02x} starts nothing here", code));
  }
  return token;
}

void Lexer::skip_space() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c == '\n') {
      ++line_;
      line_start_ = at_ + 1;
      starts_line_ = true;
    } else if (c == '/' && text_.substr(at_).starts_with("//")) {
      while (at_ + 1 < text_.size() && text_[at_ + 1] != '\n') ++at_;
    } else if (c != ' ' && c != '\t' && c != '\r') {
      return;
    }
    ++at_;
  }
}

std::string_view Lexer::take_while(bool (*accept)(char)) {
  const std::size_t start = at_;
  while (at_ < text_.size() && accept(text_[at_])) ++at_;
  return text_.substr(start, at_ - start);
}

std::string_view Lexer::take_number() {
  const std::size_t start = at_++;
  while (at_ < text_.size()) {
    const char c = text_[at_];
    const bool exponent_sign = (c == '-' || c == '+') && (text_[at_ - 1] == 'e' || text_[at_ - 1] == 'E');
    if (!is_name(c) && !exponent_sign) break;
    ++at_;
  }
  return text_.substr(start, at_ - start);
}

std::string_view Lexer::take_string() {
  const std::size_t start = ++at_;
  while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\n') at_ += text_[at_] == '\\' ? 2 : 1;
  if (at_ >= text_.size() || text_[at_] != '"') refuse(line_, start - line_start_, "the string does not end");
  return text_.substr(start, at_++ - start);
}

std::string describe(const Token& token) {
  const std::string_view text = token.text.substr(0, 40);
  switch (token.kind) {
    case Token::Kind::end:
      return "the end of the text";
    case Token::Kind::value:
      return fmt::format("'%{}'", text);
    case Token::Kind::symbol:
      return fmt::format("'@{}'", text);
    case Token::Kind::string:
      return fmt::format("the string \"{}\"", text);
    default:
      return fmt::format("'{}'", text);
  }
}

void check_characters(std::string_view text) {
  std::uint32_t line = 1;
  std::size_t line_start = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    const std::size_t length = utf8_length(text.substr(at));
    const bool control = (byte < 32 && byte != '\n' && byte != '\t' && byte != '\r') || byte == 127;
    if (length == 0 || control)
      refuse(line, at - line_start + 1,
             fmt::format("byte 0x{:02x} is {}", byte, control ? "a control character" : "not UTF-8"));
    at += length;
    if (byte == '\n') {
      ++line;
      line_start = at;
    }
  }
}

std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    const char c = text[++i];
    if (c == 'n') {
      out += '\n';
    } else if (c == 'x' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0) {
      out += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
      i += 2;
    } else {
      out += c;
    }
  }
  return out;
}

std::string escape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_length(text.substr(i));
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == '"' || byte == '\\') {
      out += '\\';
      out += text[i];
    } else if (byte == '\n') {
      out += "\\n";
    } else if (byte < 32 || byte == 127 || length == 0) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += text.substr(i, length);
    }
    i += std::max<std::size_t>(length, 1);
  }
  return out;
}

}  // namespace flagos::compiler
