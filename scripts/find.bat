@echo off
rem find.bat NAME   Sets BINARY to where NAME.exe is, unless it is set. Called by start*.bat, in the root.
if defined BINARY goto check
for %%F in ("target\release\%~1.exe" "scripts\%~1.exe" "bin\%~1.exe") do (
    if not defined BINARY if exist %%F set "BINARY=%%~fF"
)
if defined BINARY exit /b 0
for %%F in (%~1.exe) do set "BINARY=%%~$PATH:F"
if defined BINARY exit /b 0
echo There is no %~1.exe yet: build it with "cargo build --release" in %CD%. 1>&2
exit /b 1
:check
if exist "%BINARY%" exit /b 0
echo %BINARY%: there is no such program. 1>&2
exit /b 1
