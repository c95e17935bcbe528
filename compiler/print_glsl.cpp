#include "compiler/simt_emitter.hpp"
namespace flagos::compiler {
std::unique_ptr<SimtDialect> make_glsl() { return nullptr; }
}
