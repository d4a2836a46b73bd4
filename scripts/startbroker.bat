@echo off
rem Starts ha-broker with conf\broker.conf in the foreground; Ctrl-C stops it.
rem Arguments go to ha-broker. The binary: %HA_BROKER_BIN%, target\release, beside this file, bin, PATH.
setlocal
cd /d "%~dp0.."
set "BINARY=%HA_BROKER_BIN%"
call scripts\find.bat ha-broker
if errorlevel 1 exit /b 1
"%BINARY%" %*
exit /b %ERRORLEVEL%
