#include "conformance/secrets.hpp"

#include <array>
#include <string_view>

#include <unistd.h>

namespace flagos::conformance {
namespace {

constexpr std::array<std::string_view, 6> secret_words = {"TOKEN",      "SECRET", "PASSWORD",
                                                          "CREDENTIAL", "APIKEY", "_KEY"};
// A shorter value would take words out of the text that are no secrets.
constexpr std::size_t shortest_secret = 8;

void replace_all(std::string& text, std::string_view what, std::string_view with) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at)) {
    text.replace(at, what.size(), with);
    at += with.size();
  }
}

bool names_secret(std::string_view name) {
  for (const std::string_view word : secret_words) {
    if (name.find(word) != std::string_view::npos) return true;
  }
  return false;
}

}  // namespace

std::string without_secrets(std::string text) {
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view variable = *entry;
    const std::size_t equals = variable.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = variable.substr(0, equals);
    const std::string_view value = variable.substr(equals + 1);
    if (value.size() >= shortest_secret && names_secret(name))
      replace_all(text, value, "[removed]");
    if (name == "HOME" && value.size() > 1) replace_all(text, value, "~");
  }
  return text;
}

}  // namespace flagos::conformance
